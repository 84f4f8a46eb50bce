"""One model for several threads: what they ask for while it answers goes to it together next."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any

Row = dict[str, Any]


class Gathering:
    """Answers the rows that several threads ask for, on the one thread that calls `serve`.

    Args:
        answerer: asked on that thread only, which for vLLM must be the one that made its engine.
        most: calls that are answered together; 1 keeps each as it is, where rows that share a batch matter.

    Example:
        >>> import threading
        >>> shared = Gathering(lambda rows: [row["id"].upper() for row in rows], most=8)
        >>> threading.Thread(target=lambda: (print(shared([{"id": "a"}])), shared.end())).start()
        >>> shared.serve()
        ['A']
    """

    def __init__(self, answerer: Callable[[list[Row]], list[str]], most: int) -> None:
        self.answerer, self.most = answerer, most
        self._waiting: SimpleQueue[tuple[list[Row], Future[list[str]]] | None] = SimpleQueue()

    def __call__(self, rows: list[Row]) -> list[str]:
        """Return the answers to rows, in order; any thread may call it but the one that serves."""
        future: Future[list[str]] = Future()
        self._waiting.put((rows, future))
        return future.result()

    def end(self) -> None:
        """Make `serve` return once what was asked before is answered."""
        self._waiting.put(None)

    def serve(self) -> None:
        """Answer until `end` is called; an error goes to the threads whose rows were asked about."""
        ended = False
        while not ended:
            calls = [self._waiting.get()]
            while calls[-1] is not None and len(calls) < self.most:
                try:
                    calls.append(self._waiting.get_nowait())
                except Empty:
                    break
            ended = calls[-1] is None
            self._answer([call for call in calls if call is not None])

    def _answer(self, calls: list[tuple[list[Row], Future[list[str]]]]) -> None:
        if not calls:
            return
        try:
            texts = iter(self.answerer([row for rows, _ in calls for row in rows]))
            for rows, future in calls:
                future.set_result([next(texts) for _ in rows])
        except Exception as error:
            for _, future in calls:
                if not future.done():
                    future.set_exception(error)
