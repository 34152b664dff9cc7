"""The command as a process of its own, forked from one that has imported the program: as real as `python -m`, and quicker.

A worker of pytest starts one such process at its first command. Each command gets its own folder, environment and pipes. What depends
on how Python itself starts (locales, `-c`, limits of a shell) is to be run with `subprocess`.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

MOST_BYTES = 1 << 20


def unisafe(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    timeout: float = 120.0,
    streams: Mapping[int, str] | None = None,
    encoding: str = "utf-8",
) -> subprocess.CompletedProcess[str]:
    """`unisafe ARGUMENTS` in folder `cwd`. Raises TimeoutExpired after `timeout` seconds.

    Args:
        streams: of 0, 1 and 2, those that are a file of that path, or are closed: an empty path. Output elsewhere is read.
        encoding: of standard output.
    """
    pipes = [os.pipe() for _ in range(3)]
    try:
        command = {"arguments": arguments, "cwd": str(cwd), "env": dict(os.environ if env is None else env)}
        _send({**command, "streams": list((streams or {}).items()), "encoding": encoding}, [end for _, end in pipes])
    finally:
        for _, end in pipes:
            os.close(end)
    read: list[bytes] = [b"", b"", b""]
    readers = [threading.Thread(target=_read, args=(read, index, pipes[index][0])) for index in (0, 1)]
    for reader in readers:
        reader.start()
    with os.fdopen(pipes[2][0], "rb") as status:
        pid = int(status.readline())
        killer = threading.Timer(timeout, os.kill, (pid, signal.SIGKILL))
        killer.start()
        code = int(status.readline() or -signal.SIGKILL)
        late = not killer.is_alive()
        killer.cancel()
    for reader in readers:
        reader.join()
    line = ["unisafe", *arguments]
    if late and code == -signal.SIGKILL:
        raise subprocess.TimeoutExpired(line, timeout)
    return subprocess.CompletedProcess(line, code, read[0].decode(encoding), read[1].decode())


def _read(into: list[bytes], index: int, end: int) -> None:
    with os.fdopen(end, "rb") as file:
        into[index] = file.read()


LOCK = threading.Lock()


def _send(command: dict[str, Any], ends: list[int]) -> None:
    content = json.dumps(command).encode()
    with LOCK:
        server = _server()
        socket.send_fds(server, [len(content).to_bytes(4)], ends)
        server.sendall(content)


@cache
def _server() -> socket.socket:
    """The process that commands are forked from; it ends when this one does."""
    ours, theirs = socket.socketpair()
    process = subprocess.Popen([sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait(10)

    atexit.register(end)
    return ours


# ---------------------------------------------------------------- in that process


def serve(requests: socket.socket) -> None:
    """Fork a process for each command until nobody asks any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        head, ends, _, _ = socket.recv_fds(requests, 4, 3)
        if not head:
            return
        size, content = int.from_bytes(head), b""
        while len(content) < size:
            content += requests.recv(min(MOST_BYTES, size - len(content)))
        if os.fork() == 0:
            requests.close()
            _watch(json.loads(content), *ends)
        for end in ends:
            os.close(end)


def _watch(command: dict[str, Any], out: int, err: int, status: int) -> None:
    """Say which process it is and, once it has ended, how."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(status)
        _become(command, out, err)
    os.close(out)
    os.close(err)
    os.write(status, f"{pid}\n".encode())
    _, how = os.waitpid(pid, 0)
    os.write(status, f"{os.waitstatus_to_exitcode(how)}\n".encode())
    os._exit(0)


def _become(command: dict[str, Any], out: int, err: int) -> None:
    """Run the command as `python -m unisafe_async.cli` would, and end."""
    os.chdir(command["cwd"])
    os.environ.clear()
    os.environ.update(command["env"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for end in (out, err):
        os.close(end)
    for descriptor, path in command["streams"]:
        os.close(descriptor)
        if path:
            os.dup2(os.open(path, os.O_RDWR), descriptor)
    closed = [descriptor for descriptor, path in command["streams"] if not path]
    sys.stdin = None if 0 in closed else open(0)  # noqa: SIM115
    sys.stdout = None if 1 in closed else open(1, "w", encoding=command["encoding"])  # noqa: SIM115
    sys.stderr = None if 2 in closed else open(2, "w", errors="backslashreplace")  # noqa: SIM115
    sys.argv = ["unisafe", *command["arguments"]]
    sys.path[:0] = [command["cwd"], *filter(None, command["env"].get("PYTHONPATH", "").split(os.pathsep))]
    code = 1
    try:
        from unisafe_async.cli import main

        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            code = 120
    os._exit(code)


if __name__ == "__main__":
    import openai  # noqa: F401 what most commands import
    import uvloop  # noqa: F401

    import unisafe_async.cli
    import unisafe_async.results.report
    import unisafe_async.session  # noqa: F401

    serve(socket.socket(fileno=int(sys.argv[1])))
