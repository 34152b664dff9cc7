"""A local model's process, forked from one that has imported torch, transformers and diffusers: as real as `python -m`, and quicker.

`python tests/forked_worker.py SOCKET MODULE ARGUMENTS` stands in for `python -m MODULE ARGUMENTS`: it hands its streams, environment
and folder to the server behind SOCKET, which forks; it passes signals on, and ends when and as that process ends. Killed, it takes that
process with it. The server starts with pytest's first process and imports nothing before it is asked.
"""

import json
import os
import select
import signal
import socket
import sys

SOCKET = "UNISAFE_TESTS_SOCKET"
PASSED_ON = (signal.SIGINT, signal.SIGTERM)


def standing_in(module: str, *arguments: str) -> list[str]:
    """The command line that stands in for `python -m MODULE ARGUMENTS`."""
    return [sys.executable, "-I", "-S", __file__, os.environ[SOCKET], module, *arguments]


# ---------------------------------------------------------------- the command


def stand_in(path: str, command: list[str]) -> None:
    """Have the command run by the server, and end as it ends."""
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    server = socket.socket(socket.AF_UNIX)
    server.connect(path)
    content = json.dumps({"command": command, "cwd": os.getcwd(), "env": dict(os.environ)}).encode()
    socket.send_fds(server, [len(content).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(content)
    os.close(0)
    os.close(1)
    status = server.makefile("r")
    pid = int(status.readline())
    for number in PASSED_ON:
        signal.signal(number, lambda number, _: os.kill(pid, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    code = int(status.readline())
    if code < 0:
        if -code in PASSED_ON:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


# ---------------------------------------------------------------- the server


def serve(listening: int) -> None:
    """Fork a process for each connection until standard input ends, as it does when pytest's first process has ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=listening) as listener:
        ready = False
        while listener in select.select([0, listener], [], [])[0]:
            connection, _ = listener.accept()
            if not ready:
                import_all()
                ready = True
            if os.fork() == 0:
                listener.close()
                watch(connection)
            connection.close()


def import_all() -> None:
    """What local models' processes import. What is not installed is missed by the process that needs it."""
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_DISABLE_PROGRESS_BARS="1", TOKENIZERS_PARALLELISM="false")
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:0] = [os.path.dirname(here), here]
    try:
        import accelerate  # noqa: F401
        import bitsandbytes  # noqa: F401
        from tiny_models import language, pipelines, shieldgemma, unified, vision  # noqa: F401

        import providers.local.device
        import providers.local.failures
        import providers.local.loading
        import providers.local.pipeline
        import providers.local.shieldgemma
        import providers.local.unified
        import providers.local.worker  # noqa: F401
    except ImportError:
        return


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

    os.setsid()
    os.chdir(given["cwd"])
    os.environ.clear()
    os.environ.update(given["env"])
    for number, end in enumerate(streams):
        os.dup2(end, number)
        os.close(end)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", errors="backslashreplace")  # noqa: SIM115
    sys.argv = given["command"]
    code = 1
    try:
        importlib.import_module(sys.argv[0]).main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        stand_in(sys.argv[1], sys.argv[2:])
