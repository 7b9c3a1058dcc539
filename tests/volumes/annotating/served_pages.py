"""Pages that are served: by a thread of the test, or by the command in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from typing import Any

import uvicorn

from dabench.volumes.annotating.access import Tokens
from dabench.volumes.annotating.server import Address, Pictures, listen, make_app


class Inside:
    """A page that is served by a thread: quicker where nothing is killed."""

    def __init__(self, page: str, routes: list[Any], pictures: Pictures) -> None:
        self.socket = listen()
        self.address, self.tokens = Address(self.socket.getsockname()[1]), Tokens()
        app = make_app(page, routes, pictures, self.tokens, self.address.port)
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", ws="none"))
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],))
        self.thread.start()

    def next_link(self) -> str:
        return self.address.url(self.tokens.current)

    def kill(self) -> None:
        self.server.should_exit = True
        self.thread.join()
        self.socket.close()


class Served:
    """``dabench annotate`` in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "dabench.cli.main", "annotate", *arguments, "--no-open"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said = ""
        self.link = self.next_link()

    def next_link(self) -> str:
        """The next link that it prints."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if found := re.search(r"http://\S+", line):
                return found[0]
        raise AssertionError(self.said)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> str:
        """Ctrl-C, and all that was printed."""
        self.process.send_signal(2)
        return self.said + self.process.communicate(timeout=10)[0]
