"""`taglm serve`: load predictors onto one backbone and answer requests until stopped."""

import errno
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taglm_core.plugin import CacheOption, DeviceOption, OtherBackboneOption, PrecisionOption

if TYPE_CHECKING:
    import uvicorn

    from taglm_serve.app import Service

TOKEN_VARIABLE = "TAGLM_SERVE_TOKEN"
"""Environment variable that holds the token, where no file does."""


Predictors = Annotated[
    list[str],
    typer.Argument(
        metavar="PREDICTOR...",
        help="Folders of runs or predictors on one backbone; NAME=FOLDER gives one a name.",
    ),
]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is every interface.")]
Port = Annotated[
    int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65_535)
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="File that holds the token which requests must send.",
        show_default=f"the environment variable {TOKEN_VARIABLE}, else no token",
    ),
]
MaxWait = Annotated[
    float,
    typer.Option(
        help="Milliseconds that a request waits for others to share its batch.", min=0, max=60_000
    ),
]
MaxBatch = Annotated[int, typer.Option(help="Maximum number of rows in a batch.", min=1)]
MaxRows = Annotated[int, typer.Option(help="Maximum number of rows in a request.", min=1)]
MaxBody = Annotated[int, typer.Option(help="Maximum size of a request in bytes.", min=1_000)]
MaxQueue = Annotated[
    int,
    typer.Option(
        help="Maximum number of waiting rows; requests beyond it are answered 429.", min=1
    ),
]
Timeout = Annotated[
    float,
    typer.Option(help="Seconds after which a request is answered 504.", min=0.1, max=86_400),
]
OnDoubt = Annotated[
    str,
    typer.Option(
        metavar="raise|warn",
        help="How to handle requests that look like another kind of data: raise rejects them, warn "
        "continues.",
    ),
]


def serve(
    predictors: Predictors,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    token_file: TokenFile = None,
    backbone: OtherBackboneOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = None,
    cache: CacheOption = "auto",
    max_wait_ms: MaxWait = 5.0,
    max_batch: MaxBatch = 256,
    max_rows: MaxRows = 10_000,
    max_body: MaxBody = 10_000_000,
    max_queue: MaxQueue = 20_000,
    timeout: Timeout = 60.0,
    on_doubt: OnDoubt = "raise",
) -> None:
    """Serve predictors over HTTP: JSON for programs, and a web page.

    Requests for different predictors share batches, and shared prompt segments stay cached. SIGTERM
    or Ctrl-C stops accepting, finishes what was accepted, and ends.

    Example: `taglm serve runs/QED runs/LogP --port 8000`, then open the printed address.
    """
    import taglm
    from taglm_core.errors import counted
    from taglm_core.plugin import print_note
    from taglm_serve.app import Service
    from taglm_serve.limits import Limits
    from taglm_serve.naming import check_names, named_folders

    limits = Limits(
        max_wait_ms=max_wait_ms,
        max_batch=max_batch,
        max_rows=max_rows,
        max_body=max_body,
        max_queue=max_queue,
        timeout=timeout,
    )
    token = read_token(token_file)
    listening = listen(host, port)  # before minutes of loading
    with listening:
        loaded = taglm.load_together(
            named_folders(predictors),
            backbone,
            device,
            precision=precision,
            cache=cache,
            on_doubt=on_doubt,
        )
        check_names(loaded)
        if token is None and not _is_loopback(listening):
            print_note(
                f"warning: anyone who can reach {host} can use this service. Set a token: "
                f"--token-file FILE, or {TOKEN_VARIABLE}."
            )
        print_note(f"serving {', '.join(loaded)} at {_url(listening)}")
        unanswered = run_until_signal(make_server(Service(loaded, limits, token)), listening)
        if unanswered:
            print_note(f"stopped; {counted(unanswered, 'request')} not answered in time")
        else:
            print_note("stopped; every accepted request was answered")


def make_server(service: "Service") -> "uvicorn.Server":
    """Return the server of a service; it ends after a signal, when all requests are answered."""
    import uvicorn

    config = uvicorn.Config(
        service.app,
        log_level="warning",
        access_log=False,
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=int(service.limits.timeout) + 5,
    )
    return uvicorn.Server(config)


def run_until_signal(server: "uvicorn.Server", listening: socket.socket) -> int:
    """Run a server until SIGTERM or SIGINT, and return when all requests are answered.

    Returns:
        How many were broken off instead: at the time limit, or by a second signal.
    """
    # uvicorn raises the signal again when it has stopped, for handlers that were there before
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda number, frame: None)
    server.run(sockets=[listening])
    guard: Any = server.config.app
    return int(guard.num_unanswered)


def read_token(file: Path | None) -> str | None:
    """Return the token of a file or of the environment; None: there is none.

    Raises:
        ConfigError: when it is empty or too short to keep anybody out.
    """
    from taglm_core.errors import ConfigError
    from taglm_core.plugin import read_text

    if file is None and TOKEN_VARIABLE not in os.environ:
        return None
    where = str(file) if file is not None else TOKEN_VARIABLE
    text = read_text(file) if file is not None else os.environ[TOKEN_VARIABLE]
    token = text.strip()
    if len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"{where}: a token has at least 16 ASCII characters without spaces. Make one: "
            "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return token


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ConfigError: when the port is taken or the address is not of this machine.
    """
    from taglm_core.errors import ConfigError

    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError, UnicodeError) as error:  # a name with an empty label
        reason = str(getattr(error, "strerror", None) or error).partition(" (while")[0]
        is_taken = getattr(error, "errno", None) == errno.EADDRINUSE
        advice = (
            f"Choose another: --port {port + 1}" if is_taken else "Choose another --host or --port"
        )
        raise ConfigError(
            f"cannot listen on port {port} of '{host}': {reason.rstrip('.')}. {advice}."
        ) from error


def _url(listening: socket.socket) -> str:
    address, port = listening.getsockname()[:2]
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def _is_loopback(listening: socket.socket) -> bool:
    import ipaddress

    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback
