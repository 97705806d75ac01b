// window.gptcliLive: the model that is inside this page. The engine works in a worker, so that typing never waits for it; where a
// browser allows none, it works here.
"use strict";

window.gptcliLive = (() => {
  const text = (name) => document.getElementById(`live-${name}`).textContent;
  const about = JSON.parse(text("about"));
  const { model, sizes } = about;
  const answers = new Map(); // what is not answered yet: by number, the message and what resolves its promise
  let asked = 0;
  let tokenizer = null;

  function receive({ number, result, error }) {
    const { resolve, reject } = answers.get(number);
    answers.delete(number);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  }

  function started() {
    try {
      const source = [gptcliUnpack, gptcliEngine, gptcliService, "const take = gptcliService(gptcliEngine(), postMessage.bind(globalThis)); onmessage = ({ data }) => take(data);"];
      const address = URL.createObjectURL(new Blob([`"use strict";\n${source.join("\n")}`], { type: "text/javascript" }));
      const worker = new Worker(address);
      worker.onmessage = ({ data }) => receive(data);
      worker.onerror = (event) => {
        event.preventDefault();
        send = here();
        for (const { message } of answers.values()) send(message);
      };
      return (message) => worker.postMessage(message);
    } catch {
      return here();
    }
  }

  const here = () => gptcliService(gptcliEngine(), receive);
  let send = started();

  function ask(name, ...given) {
    const message = { number: ++asked, name, arguments: given };
    return new Promise((resolve, reject) => {
      answers.set(message.number, { message, resolve, reject });
      send(message);
    });
  }

  async function start() {
    if (typeof WebAssembly !== "object" || typeof DecompressionStream !== "function")
      throw new Error("this browser is too old to run the model: it needs WebAssembly and DecompressionStream");
    const engine = ask("start", { library: text("library"), weights: text("weights"), sizes, description: model });
    const packed = await gptcliUnpack().unpacked(text("tokenizer"), sizes.tokenizer);
    tokenizer = gptcliTokenizer(JSON.parse(new TextDecoder().decode(packed)));
    await engine;
  }

  async function read(ids) {
    const surprisals = await ask("read", ids);
    return {
      text: ids.map(token).join(""),
      layers: model.layers,
      heads: model.heads,
      tokens: ids.map((id, i) => ({ id, text: token(id), surprisal: surprisals[i] })),
      distribution: (position) => ask("distribution", ids, position),
      pattern: (layer, head) => ask("pattern", ids, layer, head),
      lens: async (layer, position) => {
        const guesses = await ask("lens", ids, layer, position);
        return guesses && guesses.map((guess) => ({ ...guess, text: token(guess.id) }));
      },
    };
  }

  const token = (id) => tokenizer.token(id);
  return {
    ready: start(),
    encode: (typed) => tokenizer.encode(typed),
    token,
    read: (ids) => read([...ids]),
    next: (ids) => ask("next", [...ids]),
    get pending() {
      return answers.size;
    },
    name: about.name,
    quantize: about.quantize,
    nPositions: model.n_positions,
    vocabSize: model.n_vocab,
    layers: model.layers,
    heads: model.heads,
  };
})();
