from shop.tasks import send_email

handle = send_email.handler
