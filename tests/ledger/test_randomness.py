"""Random bytes by the page: as many as asked for, none twice, none shared with a forked child."""

import os
import threading

from ledger.randomness import PAGE, random_bytes


def test_no_piece_is_given_twice():
    pieces = [random_bytes(16) for _ in range(4000)]
    assert len(set(pieces)) == 4000
    assert {len(piece) for piece in pieces} == {16}


def test_any_size():
    for count in (0, 1, 15, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE):
        assert len(random_bytes(count)) == count


def test_threads_do_not_share():
    found, start = [], threading.Barrier(8)

    def take():
        start.wait()
        found.extend(random_bytes(16) for _ in range(500))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 4000


def test_a_forked_child_does_not_repeat_its_parent():
    random_bytes(1)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, random_bytes(32))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 32) != random_bytes(32)
    os.close(reading)
    os.close(writing)
