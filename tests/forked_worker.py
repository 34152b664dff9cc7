"""Processes forked from one that has imported what they need: as real as `python -m`, and quicker.

There are two servers, which start with pytest's first process and import nothing before they are asked: one for local models'
processes (torch, transformers, diffusers), one for the command (the program, and what most of its commands import). `forked.py`
asks the second.

`python tests/forked_worker.py SOCKET MODULE ARGUMENTS` stands in for `python -m MODULE ARGUMENTS` where something starts the
command
itself: it hands its streams, environment and folder to the server behind SOCKET, which forks; it passes signals on, and ends when
and as that process ends. Killed, it takes that process with it.
"""

import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable

SOCKET = "UNISAFE_TESTS_SOCKET"
COMMANDS = "UNISAFE_TESTS_COMMANDS"
"""Variables that name the servers' sockets: that of local models and that of commands."""
PASSED_ON = (signal.SIGINT, signal.SIGTERM)


def standing_in(module: str, *arguments: str) -> list[str]:
    """The command line that stands in for `python -m MODULE ARGUMENTS`, a local model's."""
    return [sys.executable, "-I", "-S", __file__, os.environ[SOCKET], module, *arguments]


# ---------------------------------------------------------------- who asks


def ask(path: str, given: dict, streams: list[int]) -> tuple[socket.socket, int]:
    """Have a server run a module's `main`; the connection, which tells its exit code as a line, and its process.

    Args:
        given: `command` (the module and its arguments), `cwd`, `env`, and where wanted `called` (the program's name), `path`
        (folders to
            import from first), `encoding` (of standard input and output), `closed` (streams to close) and `terminal` (standard
            input is the terminal whose Ctrl-C and hang-up it gets).
        streams: its three standard streams.
    """
    server = socket.socket(socket.AF_UNIX)
    server.connect(path)
    content = json.dumps(given).encode()
    socket.send_fds(server, [len(content).to_bytes(4, "big")], streams)
    server.sendall(content)
    return server, int(read_line(server))


def read_line(connection: socket.socket) -> bytes:
    """A line, or what there is of it when the other side has gone."""
    line = b""
    while not line.endswith(b"\n") and (byte := connection.recv(1)):
        line += byte
    return line


def stand_in(path: str, command: list[str]) -> None:
    """Have the command run by the server, and end as it ends."""
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    connection, pid = ask(path, {"command": command, "cwd": os.getcwd(), "env": dict(os.environ)}, [0, 1, 2])
    os.close(0)
    os.close(1)
    for number in PASSED_ON:
        signal.signal(number, lambda number, _: pass_on(pid, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    code = int(read_line(connection))
    if code < 0:
        if -code in PASSED_ON:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def pass_on(pid: int, number: int) -> None:
    """Send a signal to the process, which may have ended meanwhile."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


# ---------------------------------------------------------------- the servers


def start(imported: str) -> tuple[str, Callable[[], None]]:
    """Start a server ("models" or "commands"); its socket, and what ends it."""
    import subprocess
    import tempfile

    folder = tempfile.TemporaryDirectory(prefix="unisafe-tests-")
    path = os.path.join(folder.name, "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        server = subprocess.Popen(
            [sys.executable, __file__, "serve", str(listener.fileno()), imported],
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def end() -> None:
        server.communicate()
        folder.cleanup()

    return path, end


def serve(listening: int, imported: str) -> None:
    """Fork a process for each connection until standard input ends, as it does when pytest's first process has ended."""
    import gc

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=listening) as listener:
        ready = False
        while listener in select.select([0, listener], [], [])[0]:
            connection, _ = listener.accept()
            if not ready:
                IMPORTS[imported]()
                gc.freeze()  # what every process has in common stays in common
                ready = True
            if os.fork() == 0:
                listener.close()
                watch(connection)
            connection.close()


def import_models() -> None:
    """What local models' processes import. What is not installed is missed by the process that needs it."""
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_DISABLE_PROGRESS_BARS="1", TOKENIZERS_PARALLELISM="false")
    look_here()
    try:
        import accelerate  # noqa: F401
        import bitsandbytes  # noqa: F401
        import unisafe_providers.local.device
        import unisafe_providers.local.failures
        import unisafe_providers.local.loading
        import unisafe_providers.local.pipeline
        import unisafe_providers.local.shieldgemma
        import unisafe_providers.local.unified
        import unisafe_providers.local.worker  # noqa: F401
        from tiny_models import language, pipelines, shieldgemma, unified, vision  # noqa: F401
    except ImportError:
        return


def import_commands() -> None:
    """What commands import, and the tree of commands. What reads its settings from the environment when it is imported is left
    out.
    """
    import importlib
    from contextlib import suppress
    from functools import cache

    import typer.main

    look_here()
    for name in COMMON:
        with suppress(ImportError):
            importlib.import_module(name)
    typer.main.get_command = cache(typer.main.get_command)
    from PIL import Image

    from unisafe_async.cli import app

    Image.init()
    typer.main.get_command(app)


COMMON = (
    "openai",
    "uvloop",
    "anyio._backends._asyncio",
    "anyio._core._signals",
    "encodings.idna",
    "encodings.utf_8_sig",
    "glob",
    "gzip",
    "httptools",
    "importlib.readers",
    "mmap",
    "rich._emoji_codes",
    "rich._spinners",
    "rich.spinner",
    "typer._adapters",
    "typer._click.decorators",
    "unisafe_cache.archive_import",
    "unisafe_cache.maintenance",
    "unisafe_cache.run_shapes",
    "unisafe_providers.command.provider",
    "unisafe_providers.command.spec",
    "unisafe_providers.hosted.anthropic",
    "unisafe_providers.hosted.anthropic_batch",
    "unisafe_providers.hosted.anthropic_spec",
    "unisafe_providers.hosted.gemini",
    "unisafe_providers.hosted.gemini_spec",
    "unisafe_providers.hosted.openai_batch",
    "unisafe_providers.hosted.openai_compatible",
    "unisafe_providers.hosted.openai_responses",
    "unisafe_providers.hosted.openai_spec",
    "unisafe_providers.local.provider",
    "unisafe_providers.local.spec",
    "unisafe_async.cli",
    "unisafe_async.results.rows",
    "unisafe_async.interchange.recorded",
    "unisafe_async.interchange.recorded_spec",
    "unisafe_async.interchange.tables",
    "unisafe_async.interchange.official",
    "unisafe_async.interchange.verdicts",
    "unisafe_async.run.doctor",
    "unisafe_async.run.plan",
    "unisafe_async.screens.compare",
    "unisafe_async.screens.doctor",
    "unisafe_async.screens.listing",
    "unisafe_async.screens.plan",
    "unisafe_async.screens.report",
    "unisafe_async.simulate.simulated",
    "unisafe_async.simulate.spec",
    "unisafe_async.browse.show",
    "unisafe_async.commands.session",
)
"""What commands of tests have imported when they end, of each that many of them import."""
IMPORTS = {"models": import_models, "commands": import_commands}


def look_here() -> None:
    """Import the program and the tests' own modules from this checkout."""
    here = os.path.dirname(os.path.abspath(__file__))
    root = os.path.dirname(here)
    sys.path[:0] = [root, *(os.path.join(root, name) for name in ("providers", "judger", "cache")), here]


def watch(connection: socket.socket) -> None:
    """Run one command; say which process it is and, once it has ended, how. Kill it when nobody is there to be told."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, streams, _, _ = socket.recv_fds(connection, 4, 3)
    size, content = int.from_bytes(head, "big"), b""
    while len(content) < size:
        content += connection.recv(size - len(content))
    running, held = os.pipe()
    pid = os.fork()
    if pid == 0:
        connection.close()
        become(json.loads(content), streams)
    for end in (held, *streams):
        os.close(end)
    connection.sendall(f"{pid}\n".encode())
    if connection in select.select([running, connection], [], [])[0]:
        os.kill(pid, signal.SIGKILL)
    _, how = os.waitpid(pid, 0)
    try:
        connection.sendall(f"{os.waitstatus_to_exitcode(how)}\n".encode())
    except OSError:
        os._exit(1)
    os._exit(0)


def become(given: dict, streams: list[int]) -> None:
    """Run the module's `main` as `python -m` would, and end."""
    import importlib
    import traceback

    settle(given, streams)
    code = 1
    try:
        importlib.import_module(given["command"][0]).main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    if "called" in given:
        end_as_python_does()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            code = 120
    os._exit(code)


def end_as_python_does() -> None:
    """Wait for threads and call what was registered; not for a local model's process, in which torch's belongs to the server."""
    import atexit
    import threading

    threading._shutdown()
    atexit._run_exitfuncs()


def settle(given: dict, streams: list[int]) -> None:
    """The folder, environment, streams, terminal and arguments of the process."""
    os.setsid()
    os.chdir(given["cwd"])
    os.environ.clear()
    os.environ.update(given["env"])
    for number, end in enumerate(streams):
        os.dup2(end, number)
        os.close(end)
    if given.get("terminal"):
        own_terminal()
    closed = given.get("closed", [])
    for number in closed:
        os.close(number)
    encoding = given.get("encoding")
    sys.stdin = None if 0 in closed else open(0, encoding=encoding)  # noqa: SIM115
    sys.stdout = None if 1 in closed else open(1, "w", encoding=encoding)  # noqa: SIM115
    sys.stderr = None if 2 in closed else open(2, "w", errors="backslashreplace")  # noqa: SIM115
    sys.argv = [given.get("called", given["command"][0]), *given["command"][1:]]
    sys.path[:0] = given.get("path", [])


def own_terminal() -> None:
    """Make standard input the terminal whose Ctrl-C and hang-up this process gets, whoever runs the tests."""
    import fcntl
    import termios

    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]), sys.argv[3])
    else:
        stand_in(sys.argv[1], sys.argv[2:])
