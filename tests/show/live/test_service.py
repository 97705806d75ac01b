"""What is asked of the engine is answered one at a time, the newest text before pictures of an older one."""

from typing import Any

from tests.show.live.node import run

# An engine that only notes what is asked of it. All messages of a list arrive at once, as they do in a worker.
SAID = """
const log = [], answers = [];
const note = (name) => (...given) => {
  log.push([name, ...given]);
  if (given[0][0] === 13) throw new Error("not that one");
  return name;
};
const lens = (ids, places) => note("lens")(ids, places) && places.map(([layer, position]) => `${layer},${position}`);
const engine = { ROWS: 3, lens, read: note("read"), next: note("next"), distribution: note("distribution") };
const take = gptcliService(engine, (answer) => answers.push(answer));
given.forEach(([name, ...rest], number) => take({ number, name, arguments: rest }));
while (answers.length < given.length) await new Promise((resolve) => setTimeout(resolve, 1));
return { log, answers };
"""


def said(*asked: list[Any]) -> tuple[list[Any], dict[int, Any]]:
    """What the engine was asked, in order, and the answer to each message."""
    done = run(SAID, list(asked))
    return done["log"], {each["number"]: each.get("error", each.get("result")) for each in done["answers"]}


def test_places_of_a_lens_are_read_together_and_after_texts() -> None:
    places = [["lens", [1, 2], layer, 0] for layer in range(4)]
    log, answers = said(*places, ["lens", [1], 9, 9], ["next", [1, 2]])
    assert log == [
        ["next", [1, 2]],
        ["lens", [1, 2], [[0, 0], [1, 0], [2, 0]]],
        ["lens", [1, 2], [[3, 0]]],
        ["lens", [1], [[9, 9]]],
    ]
    assert answers == {0: "0,0", 1: "1,0", 2: "2,0", 3: "3,0", 4: "9,9", 5: "next"}


def test_pictures_that_wait_are_dropped_for_a_newer_text() -> None:
    log, answers = said(
        ["read", [1]], ["lens", [1], 0, 0], ["distribution", [1], 0], ["read", [1, 2]], ["lens", [1], 1, 1]
    )
    assert log == [["read", [1]], ["read", [1, 2]], ["lens", [1], [[1, 1]]]]
    assert answers == {0: "read", 1: None, 2: None, 3: "read", 4: "1,1"}


def test_what_fails_is_told_and_the_rest_goes_on() -> None:
    log, answers = said(["read", [13]], ["next", [1]], ["lens", [13], 0, 0], ["lens", [13], 0, 1], ["lens", [2], 0, 1])
    assert len(log) == 4
    assert answers == {0: "not that one", 1: "next", 2: "not that one", 3: "not that one", 4: "0,1"}
