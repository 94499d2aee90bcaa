"""A Flask application with Flask-SQLAlchemy that a function makes, in an environment with only what it needs."""

from __future__ import annotations

from pathlib import Path

from .environments import Environments
from .projects import User, copy_of

_SHOP = """
from pathlib import Path

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from generated.jobs import SendEmail
from generated.registry import registry
from server_jobs_integrations.flask import ServerJobs

URL = f"sqlite:///{Path(__file__).with_name('shop.sqlite3')}"
db = SQLAlchemy()
jobs = ServerJobs(None, registry)


class Order(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String, nullable=False)


def create_app():
    app = Flask(__name__)
    # A session that keeps its connection makes the next handler fail.
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1}
    app.config.update(SQLALCHEMY_DATABASE_URI=URL, SERVER_JOBS_DATABASE_URL=URL)
    db.init_app(app)
    jobs.init_app(app)

    @app.cli.command("order")
    def order():
        db.create_all()
        for number in range(4):
            db.session.add(Order(email=f"{number}@example.com"))
            SendEmail.later_in(db.session, {"to": f"{number}@example.com", "subject": "Hello"})
        db.session.commit()

    return app
"""
_HANDLER = """
from generated.models.send_email import SendEmailResult
from shop import Order, db


def handle(params, context):
    found = db.session.execute(db.select(Order).where(Order.email == params.to)).scalar_one()
    return SendEmailResult(message_id=f"order-{found.id}")
"""


def test_handlers_use_the_session_of_flask_sqlalchemy_and_leave_none_open(
    tmp_path: Path, project: Path, environments: Environments
) -> None:
    user = User(copy_of(project, tmp_path), environments.programs("'server-jobs[worker]' flask flask-sqlalchemy"))
    (user.folder / "shop.py").write_text(_SHOP)
    (user.folder / "handlers/send_email.py").write_text(_HANDLER)
    flask = "flask --app 'shop:create_app()'"

    user.types(f"{flask} jobs migrate && {flask} order")
    user.types(f"{flask} jobs worker --until-empty --processes 2 --concurrency 1")

    assert user.types(f"{flask} jobs list --json").count('"completed"') == 4
