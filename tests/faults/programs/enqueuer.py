"""An application that stores orders with their jobs in transactions, some rolled back, until it is killed."""

from __future__ import annotations

import random
import time
import uuid

import psycopg  # noqa: F401  so that it is there before the fork
import server_jobs.transactions.sqlalchemy  # noqa: F401  likewise
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.dialects import postgresql, sqlite  # noqa: F401  likewise

from tests.faults.jobs import Nap, TakeNap
from tests.faults.plans import EnqueuerPlan, from_text


def main(plan_text: str) -> None:
    """Run until killed."""
    url = from_text(EnqueuerPlan, plan_text).url
    options = {"timeout": 30} if url.startswith("sqlite:") else {}
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"), connect_args=options)
    while True:
        with engine.connect() as connection:
            place_order(connection)
            if random.random() < 0.2:
                connection.rollback()
            else:
                connection.commit()


def place_order(connection: Connection) -> None:
    """Store the order and its job, in either order, with pauses."""
    order = uuid.uuid4().hex
    note = text("INSERT INTO orders (id) VALUES (:id)").bindparams(id=order)
    if random.random() < 0.5:
        connection.execute(note)
        dawdle()
        TakeNap.later_in(connection, Nap(seconds=0, padding=order))
    else:
        TakeNap.later_in(connection, Nap(seconds=0, padding=order))
        dawdle()
        connection.execute(note)
    dawdle()


def dawdle() -> None:
    """Wait a moment, in which the process may be killed."""
    time.sleep(random.uniform(0, 0.003))
