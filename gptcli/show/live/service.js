// Answers what the page asks of the engine, one at a time, in a worker where there is one: the newest text before what is still
// to be shown of an older one.
"use strict";

// `send` gets {number, result} or {number, error}; returns what takes {number, name, arguments}.
function gptcliService(engine, send) {
  const waiting = [];
  let busy = false;

  // Of pictures that still wait when a newer text comes, nobody sees any.
  const isPicture = (each) => each.name === "lens" || each.name === "pattern" || each.name === "distribution";

  function take(message) {
    if (message.name === "read")
      for (const each of waiting.filter(isPicture)) {
        waiting.splice(waiting.indexOf(each), 1);
        send({ number: each.number, result: null });
      }
    waiting.push(message);
    if (!busy) work();
  }

  // Several places of the lens at once, which reads the unembedding once for all of them.
  function together() {
    const [first] = waiting;
    if (first.name !== "lens") return waiting.splice(0, 1);
    const same = waiting.filter((each) => each.name === "lens" && each.arguments[0].join() === first.arguments[0].join());
    const group = same.slice(0, engine.ROWS);
    for (const each of group) waiting.splice(waiting.indexOf(each), 1);
    return group;
  }

  function answer(group) {
    const [{ name, arguments: given }] = group;
    if (name !== "lens") return [engine[name](...given)];
    return engine.lens(given[0], group.map((each) => each.arguments.slice(1)));
  }

  // Messages that have arrived are taken. (setTimeout would wait for some milliseconds more.)
  function turn() {
    const { port1, port2 } = new MessageChannel();
    return new Promise((resolve) => {
      port1.onmessage = () => resolve(port1.close());
      port2.postMessage(null);
    });
  }

  // Before each answer, all messages are taken: one may be a newer text, others places of the same lens.
  async function work() {
    busy = true;
    while (waiting.length) {
      await turn();
      waiting.sort((a, b) => isPicture(a) - isPicture(b)); // keeps the order otherwise
      const group = together();
      try {
        const results = await Promise.all(answer(group));
        group.forEach(({ number }, i) => send({ number, result: results[i] }));
      } catch (error) {
        for (const { number } of group) send({ number, error: error.message });
      }
    }
    busy = false;
  }

  return take;
}

if (typeof module !== "undefined") module.exports = { gptcliService };
