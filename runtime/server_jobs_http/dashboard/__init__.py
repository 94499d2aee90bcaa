"""The dashboard: pages for operators, next to the JSON routes. Needs the extra `dashboard`.

=============================================  =========================================
to change                                      open
=============================================  =========================================
the address, and requests without Jinja        `mounting`
the list of pages                              `pages`
checks before a page, and error pages          `guard`
cookies and CSRF tokens, and signing in        `sessions`, `signing_in`
the request and the caller of a page           `visit`
templates, and how values are written          `rendering`, `formats`, `charts`
the first page, failures, and their numbers    `overview`, `attention`, `numbers`
lists of jobs and actions on several           `job_list`, `job_actions`
one job                                        `job`
queues, schedules, workers, contracts          `operations`, `contracts`
forms for params                               `fields`, `form_values`, `editing`
=============================================  =========================================
"""
