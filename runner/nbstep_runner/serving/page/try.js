// A form for the endpoint's inputs, its answer, and the request as others would write it. All of it is read from
// openapi.json, so that the page says nothing of the endpoint that its description does not say.

const INK = 255;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// Each field is {node, read()}: what is shown, and the value that is sent; read() throws where there is none.

function plainField(name, schema, given) {
  const id = `input-${name}`;
  const label = element("label", { htmlFor: id }, name);
  let control;
  let read;
  if (schema.enum) {
    control = element("select", { id }, ...schema.enum.map((each) => element("option", { value: JSON.stringify(each) }, String(each))));
    if (given !== undefined) control.value = JSON.stringify(given);
    read = () => JSON.parse(control.value);
  } else if (schema.type === "boolean") {
    control = element("input", { id, type: "checkbox", checked: given === true });
    read = () => control.checked;
  } else if (schema.type === "number" || schema.type === "integer") {
    control = element("input", { id, type: "number", step: schema.type === "integer" ? "1" : "any", required: true });
    if (given !== undefined && given !== null) control.value = given;
    if (schema.minimum !== undefined) control.min = schema.minimum;
    if (schema.maximum !== undefined) control.max = schema.maximum;
    read = () => Number(control.value);
  } else if (schema.type === "string") {
    control = element("input", { id, type: "text", value: given ?? "" });
    read = () => control.value;
  } else {
    control = element("textarea", { id, spellcheck: false, value: given === undefined ? "" : JSON.stringify(given), placeholder: "JSON" });
    read = () => {
      try {
        return JSON.parse(control.value);
      } catch {
        throw new Error(`${name}: what is written there is not JSON`);
      }
    };
  }
  return { node: element("div", { className: "field" }, label, control), read };
}

function tableField(name, schema, given) {
  const columns = Object.entries(schema.items.properties ?? {});
  const rows = [];
  const body = element("tbody");
  function addRow(values) {
    const fields = columns.map(([column, kind]) => {
      const field = plainField(column, kind, values?.[column]);
      const control = field.node.querySelector("input");
      control.removeAttribute("id");
      control.setAttribute("aria-label", `${column}, row ${rows.length + 1}`);
      return { column, control, read: field.read };
    });
    rows.push(fields);
    body.append(element("tr", {}, ...fields.map((each) => element("td", {}, each.control))));
  }
  for (const values of given?.length ? given : [undefined]) addRow(values);
  const add = element("button", { type: "button", onclick: () => addRow(undefined) }, "Add a row");
  const remove = element("button", {
    type: "button",
    onclick: () => {
      if (rows.length > 1) {
        rows.pop();
        body.lastElementChild.remove();
        body.dispatchEvent(new Event("input", { bubbles: true }));
      }
    },
  }, "Remove the last row");
  const head = element("thead", {}, element("tr", {}, ...columns.map(([column]) => element("th", { scope: "col" }, column))));
  const table = element("div", { className: "scroll" }, element("table", {}, head, body));
  const node = element("fieldset", { className: "field" }, element("legend", {}, name), table, element("div", { className: "row" }, add, remove));
  return { node, read: () => rows.map((fields) => Object.fromEntries(fields.map((each) => [each.column, each.read()]))) };
}

function imageField(name, { shape }) {
  const [height, width, channels = 1] = shape;
  const scale = Math.max(1, Math.round(280 / Math.max(width, height)));
  const pad = element("canvas", { width: width * scale, height: height * scale, tabIndex: 0, id: `input-${name}` });
  pad.setAttribute("role", "application");
  pad.setAttribute("aria-label", `${name}: a pad of ${width} by ${height} to draw on. Arrow keys move the pen, the space bar lowers and lifts it.`);
  pad.style.setProperty("--ratio", `${width} / ${height}`);
  const sent = element("canvas", { className: "sent", width, height });
  sent.setAttribute("role", "img");
  sent.setAttribute("aria-label", "What is sent");
  const pen = pad.getContext("2d", { willReadFrequently: true });
  const shown = sent.getContext("2d");
  let at = null;
  let keyboard = { x: pad.width / 2, y: pad.height / 2, down: false };

  function clear() {
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, pad.width, pad.height);
    changed();
  }
  function line(from, to) {
    pen.strokeStyle = "#fff";
    pen.lineWidth = Math.max(pad.width, pad.height) / 11;
    pen.lineCap = pen.lineJoin = "round";
    pen.beginPath();
    pen.moveTo(from.x, from.y);
    pen.lineTo(to.x, to.y);
    pen.stroke();
    changed();
  }
  function place(event) {
    const box = pad.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * pad.width, y: ((event.clientY - box.top) / box.height) * pad.height };
  }
  // Each pixel of the image is the mean of the pad's pixels that it stands for.
  function pixels() {
    const { data } = pen.getImageData(0, 0, pad.width, pad.height);
    const mean = (row, column, offsets) => {
      let sum = 0;
      for (let y = row * scale; y < (row + 1) * scale; y += 1) {
        for (let x = column * scale; x < (column + 1) * scale; x += 1) {
          for (const [offset, weight] of offsets) sum += data[4 * (y * pad.width + x) + offset] * weight;
        }
      }
      return Math.min(INK, Math.round(sum / (scale * scale)));
    };
    const grey = [[0, 0.299], [1, 0.587], [2, 0.114]];
    return Array.from({ length: height }, (_, row) => Array.from({ length: width }, (_, column) => (
      channels === 1 ? mean(row, column, grey) : Array.from({ length: channels }, (_, channel) => (channel < 3 ? mean(row, column, [[channel, 1]]) : INK))
    )));
  }
  function changed() {
    const image = shown.createImageData(width, height);
    pixels().flat().forEach((pixel, index) => {
      const colour = channels === 1 ? [pixel, pixel, pixel] : pixel.slice(0, 3);
      image.data.set([...colour, INK], 4 * index);
    });
    shown.putImageData(image, 0, 0);
    pad.dispatchEvent(new Event("input", { bubbles: true }));
  }
  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    at = place(event);
    line(at, at);
  });
  pad.addEventListener("pointermove", (event) => {
    if (at) {
      const next = place(event);
      line(at, next);
      at = next;
    }
  });
  for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => { at = null; });
  pad.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === " ") keyboard = { ...keyboard, down: !keyboard.down };
    else if (!(event.key in steps)) return;
    event.preventDefault();
    const [x, y] = steps[event.key] ?? [0, 0];
    const step = pad.width / 16;
    const within = (value, size) => Math.min(size, Math.max(0, value));
    const next = { ...keyboard, x: within(keyboard.x + x * step, pad.width), y: within(keyboard.y + y * step, pad.height) };
    if (keyboard.down) line(keyboard, next);
    keyboard = next;
  });
  async function upload(file) {
    const image = await createImageBitmap(file);
    const ratio = Math.min(pad.width / image.width, pad.height / image.height);
    const [w, h] = [image.width * ratio, image.height * ratio];
    clear();
    pen.drawImage(image, (pad.width - w) / 2, (pad.height - h) / 2, w, h);
    changed();
  }
  function invert() {
    const image = pen.getImageData(0, 0, pad.width, pad.height);
    for (let index = 0; index < image.data.length; index += 1) {
      if (index % 4 !== 3) image.data[index] = INK - image.data[index];
    }
    pen.putImageData(image, 0, 0);
    changed();
  }
  const file = element("input", { type: "file", accept: "image/*", onchange: () => file.files[0] && upload(file.files[0]) });
  file.setAttribute("aria-label", `${name}: an image file`);
  const buttons = element("div", { className: "row" },
    element("button", { type: "button", onclick: clear }, "Clear"),
    element("button", { type: "button", onclick: invert }, "Invert"),
    sent);
  const node = element("fieldset", { className: "field" },
    element("legend", {}, name),
    element("p", { className: "hint" }, `Draw, or choose a file; ${width} × ${height} pixels are sent, white on black.`),
    pad, buttons, element("div", { className: "row" }, file));
  return { node, read: pixels, begin: (given) => {
    clear();
    if (!Array.isArray(given)) return;
    given.forEach((row, y) => row.forEach((pixel, x) => {
      const [r, g, b] = channels === 1 ? [pixel, pixel, pixel] : pixel;
      pen.fillStyle = `rgb(${r}, ${g}, ${b})`;
      pen.fillRect(x * scale, y * scale, scale, scale);
    }));
    changed();
  } };
}

function fieldOf(name, schema, given) {
  const kind = schema["x-nbstep"]?.kind;
  if (kind === "image") return imageField(name, schema["x-nbstep"]);
  if (kind === "table" && schema.items.properties) return tableField(name, schema, given);
  return plainField(name, schema, given);
}

// What is likely a probability for each of several things: shown as bars.
function probabilities(value) {
  if (value === null || typeof value !== "object") return null;
  const entries = Object.entries(value);
  const fits = entries.length > 1 && entries.every(([, each]) => typeof each === "number" && each >= 0 && each <= 1);
  const sum = entries.reduce((total, [, each]) => total + each, 0);
  return fits && Math.abs(sum - 1) < 0.02 ? entries : null;
}

function bars(name, entries) {
  const best = Math.max(...entries.map(([, value]) => value));
  const rows = entries.map(([label, value]) => {
    const bar = element("div", { className: "bar" });
    bar.style.width = `${100 * value}%`;
    return element("tr", { className: value === best ? "best" : "" },
      element("th", { scope: "row" }, label), element("td", {}, bar), element("td", {}, `${(100 * value).toFixed(1)} %`));
  });
  return [element("h3", {}, name), element("table", { className: "bars" }, element("caption", { hidden: true }, name), element("tbody", {}, ...rows))];
}

function shownAnswer(answer) {
  const direct = probabilities(answer);
  if (direct) return bars("probabilities", direct);
  const isRecord = answer !== null && typeof answer === "object" && !Array.isArray(answer);
  const parts = isRecord ? Object.entries(answer) : [["", answer]];
  return parts.flatMap(([name, value]) => {
    const entries = probabilities(value);
    if (entries) return bars(name, entries);
    const title = name ? [element("h3", {}, name)] : [];
    if (value !== null && typeof value === "object") return [...title, element("pre", { tabIndex: 0 }, JSON.stringify(value, null, 1))];
    return [...title, element("p", { className: "value" }, String(value))];
  });
}

function literal(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${literal(each)}`).join(", ")}}`;
  return JSON.stringify(value);
}

function python(url, body) {
  return `import json, urllib.request\n\nbody = ${literal(body)}\nanswer = urllib.request.urlopen(${JSON.stringify(url)}, json.dumps(body).encode())\nprint(json.load(answer))`;
}

function curl(url, body) {
  const quoted = JSON.stringify(body).replaceAll("'", "'\\''");
  return `curl '${url}' -d '${quoted}'`;
}

async function begin() {
  const described = await (await fetch("openapi.json")).json();
  const { schema, example = {} } = described.paths["/predict"].post.requestBody.content["application/json"];
  const url = new URL("predict", location.href).href;
  const byId = (id) => document.getElementById(id);
  document.title = `Try ${described.info.title}`;
  byId("name").textContent = described.info.title;
  byId("description").textContent = described.info.description;

  const fields = Object.entries(schema.properties).map(([name, each]) => {
    const given = example[name] ?? each.default;
    return [name, fieldOf(name, each, given), given];
  });
  byId("inputs").append(...fields.map(([, field]) => field.node));
  if (!fields.length) byId("inputs").append(element("p", { className: "quiet" }, "It takes none."));
  const read = () => Object.fromEntries(fields.map(([name, field]) => [name, field.read()]));
  const refuse = (text) => byId("answer").replaceChildren(element("p", { className: "wrong" }, text));

  let due;
  function showRequest() {
    clearTimeout(due);
    try {
      const body = read();
      byId("curl").textContent = curl(url, body);
      byId("python").textContent = python(url, body);
    } catch (error) {
      byId("curl").textContent = byId("python").textContent = error.message;
    }
  }
  byId("form").addEventListener("input", () => {
    clearTimeout(due);
    due = setTimeout(showRequest, 100); // a drawing changes with every move
  });
  for (const [, field, given] of fields) field.begin?.(given);
  showRequest();

  byId("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    showRequest(); // the one that is answered now
    byId("send").disabled = true;
    byId("answer").setAttribute("aria-busy", "true");
    try {
      const response = await fetch("predict", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(read()) });
      const answer = await response.json();
      if (response.ok) byId("answer").replaceChildren(...shownAnswer(answer));
      else refuse(answer.error);
    } catch (error) {
      refuse(error.message);
    } finally {
      byId("send").disabled = false;
      byId("answer").setAttribute("aria-busy", "false");
    }
  });
}

begin().catch((error) => {
  document.getElementById("answer").replaceChildren(element("p", { className: "wrong" }, `The endpoint does not describe itself: ${error.message}`));
});
