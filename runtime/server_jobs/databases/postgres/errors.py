"""Translate errors of asyncpg."""

from __future__ import annotations

import ssl

import asyncpg

from ...errors import (
    DatabaseError,
    DatabaseUnreachableError,
    DuplicateIdError,
    PrivilegeMissingError,
    RowLockedError,
    SchemaMissingError,
)


class RepeatableError(DatabaseError):
    """PostgreSQL rolled the transaction back because of another one; run it again."""


class LostStatementError(DatabaseError):
    """The connection has lost a prepared statement, or was closed while idle. Nothing was executed."""


class PooledStatementError(LostStatementError):
    """A pooler chose a server connection without the prepared statement. Nothing was executed."""


class UnreadableAnswerError(DatabaseError):
    """The driver cannot read the answer: the server, or a proxy before it, violates the protocol or sent other bytes.

    The rest of the answer may still arrive, so the connection is of no more use.
    """


class SilentServerError(DatabaseUnreachableError):
    """No server answered while connecting."""


class UnsuitableServerError(DatabaseUnreachableError):
    """The server answered, but cannot be used now: it is a standby, starts or stops, or has no connection left."""


class FullServerError(UnsuitableServerError):
    """The server has no connection left for another client. Connections that are open keep working."""


def call_error(error: Exception, place: str) -> DatabaseError:
    """Return the error for an exception of a call."""
    match error:
        case DatabaseError():
            return error
        case asyncpg.UniqueViolationError() if getattr(error, "constraint_name", None) == "jobs_pkey":
            return DuplicateIdError(f"a new job has the id of another one on {place}: {text_of(error)}")
        case asyncpg.DeadlockDetectedError() | asyncpg.SerializationError() | asyncpg.UniqueViolationError():
            return RepeatableError(f"PostgreSQL undid a transaction on {place}: {text_of(error)}")
        case asyncpg.LockNotAvailableError():
            return RowLockedError(
                f"a transaction on {place} waited too long for another one that is still open ({text_of(error)}); "
                "nothing was changed: try again, and look in pg_stat_activity for who is idle in a transaction"
            )
        case asyncpg.ReadOnlySQLTransactionError():
            return UnsuitableServerError(f"the server at {place} takes no writes, as a standby does: {text_of(error)}")
        case asyncpg.InvalidSQLStatementNameError() | asyncpg.DuplicatePreparedStatementError():
            return PooledStatementError(f"a pooler at {place} lost a prepared statement: {text_of(error)}")
        case asyncpg.InvalidCachedStatementError() | asyncpg.OutdatedSchemaCacheError():
            return LostStatementError(f"the tables of {place} have changed: {text_of(error)}")
        case asyncpg.InternalClientError() if "cannot switch to state" in str(error):
            return LostStatementError(f"an idle connection to {place} had ended")  # the driver had not noticed
        case asyncpg.UndefinedTableError() | asyncpg.UndefinedColumnError():
            return SchemaMissingError(f"{place}: {text_of(error)}")
        case asyncpg.InsufficientPrivilegeError():
            return PrivilegeMissingError(f"{place}: {text_of(error)}")
        case TimeoutError() if error.errno is None:
            return DatabaseUnreachableError(f"{place} did not answer in time; the connection was dropped")
        case _ if _is_silence(error) or _is_refusal(error) or _is_loss(error) or _is_fatal(error):
            return DatabaseUnreachableError(f"the connection to {place} was lost: {text_of(error)}")
        case asyncpg.PostgresError() | asyncpg.InterfaceError():
            return DatabaseError(f"PostgreSQL refused a statement on {place}: {text_of(error)}")
        case UnicodeEncodeError() | OverflowError():
            return DatabaseError(f"PostgreSQL cannot store a value on {place}: {text_of(error)}")
        case _:
            return UnreadableAnswerError(f"an answer of {place} cannot be read: {_named(error)}")


def connect_error(error: Exception, place: str, seconds: float) -> DatabaseError:
    """Return the error for an exception of a connection attempt with this time limit."""
    match error:
        case DatabaseError():
            return error
        case asyncpg.InvalidCatalogNameError():
            return DatabaseError(f"cannot open {place}: {text_of(error)}; create it first, for example with `createdb`")
        case asyncpg.InvalidAuthorizationSpecificationError():
            return DatabaseError(
                f"cannot open {place}: {text_of(error)}; check the user and the password of the database URL"
            )
        case asyncpg.TargetServerAttributeNotMatched():
            return UnsuitableServerError(f"{place} is not the kind of server that target_session_attrs asks for")
        case ssl.SSLCertVerificationError():
            return DatabaseError(f"cannot open {place}: {text_of(error)}; check sslmode and sslrootcert of the URL")
        case ConnectionError() if "SSL upgrade" in str(error):
            return DatabaseError(f"cannot open {place}: the server has no SSL; check sslmode of the database URL")
        case asyncpg.ClientConfigurationError():
            return DatabaseError(f"cannot open {place}: {text_of(error)}; check the options of the database URL")
        case TimeoutError() if error.errno is None:
            return SilentServerError(f"no PostgreSQL server answers at {place}: no answer within {seconds:g} s")
        case asyncpg.TooManyConnectionsError():
            return FullServerError(f"{place} takes no more connections: {text_of(error)}")
        case _ if _is_silence(error):
            return SilentServerError(f"no PostgreSQL server answers at {place}: {text_of(error)}")
        case _ if _is_refusal_to_connect(error):
            return UnsuitableServerError(f"no PostgreSQL server answers at {place}: {text_of(error)}")
        case asyncpg.PostgresError() | asyncpg.InterfaceError() | asyncpg.InternalClientError() | ValueError():
            return DatabaseError(f"cannot open {place}: {text_of(error)}")
        case _:
            return DatabaseError(
                f"cannot open {place}: its answer cannot be read ({_named(error)}); is this a PostgreSQL server?"
            )


def is_refused(error: BaseException | None) -> bool:
    """Whether the server, or a proxy before it, does not know a statement or a function, or does not allow it."""
    return isinstance(
        error,
        (
            asyncpg.FeatureNotSupportedError,
            asyncpg.InsufficientPrivilegeError,
            asyncpg.PostgresSyntaxError,
            asyncpg.UndefinedFunctionError,
        ),
    )


def _is_silence(error: Exception) -> bool:
    """Whether the connection ended without an answer. The errors of a pooler have the same classes."""
    return isinstance(error, (OSError, TimeoutError, asyncpg.PostgresConnectionError)) and not _is_fatal(error)


def _is_refusal(error: Exception) -> bool:
    """Whether the server is full, starting or stopping."""
    return isinstance(
        error,
        (
            asyncpg.AdminShutdownError,
            asyncpg.CrashShutdownError,
            asyncpg.CannotConnectNowError,
            asyncpg.TooManyConnectionsError,
        ),
    )


def _is_refusal_to_connect(error: Exception) -> bool:
    """Whether the server, or a pooler, may accept a connection later: it has too little of something, or is slow."""
    shortage = (asyncpg.InsufficientResourcesError, asyncpg.OperatorInterventionError, asyncpg.PostgresConnectionError)
    return isinstance(error, shortage) or _is_loss(error)


def _is_fatal(error: Exception) -> bool:
    """Whether the server has ended the connection with this error."""
    return isinstance(error, asyncpg.PostgresError) and getattr(error, "severity_en", None) in ("FATAL", "PANIC")


def _is_loss(error: Exception) -> bool:
    ended = (asyncpg.IdleSessionTimeoutError, asyncpg.IdleInTransactionSessionTimeoutError)
    return isinstance(error, ended) or (isinstance(error, asyncpg.InterfaceError) and "closed" in str(error))


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {text_of(error)}"


def text_of(error: Exception) -> str:
    """Return the first line of a message. The driver adds its own advice behind it."""
    return str(error).partition("\n")[0] or type(error).__name__
