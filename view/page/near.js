"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const sprites = data.sprites, perSheet = sprites.columns * sprites.rows, shown = 128;
  // One rule a sheet, so that its bytes are in the page once.
  const style = document.createElement("style");
  style.textContent = sprites.sheets.map((source, i) => `.sheet${i} { background-image: url(${source}); }`).join("\n");
  document.head.append(style);
  const total = data.count;
  function figure(picture) {
    const made = document.createElement("figure"), box = document.createElement("div"), caption = document.createElement("figcaption");
    const sheet = Math.floor(picture.sprite / perSheet), place = picture.sprite % perSheet;
    const inSheet = Math.min(perSheet, total - sheet * perSheet);
    box.className = `picture sheet${sheet}`;
    box.style.backgroundSize = `${Math.min(inSheet, sprites.columns) * shown}px auto`;
    box.style.backgroundPosition = `${-(place % sprites.columns) * shown}px ${-Math.floor(place / sprites.columns) * shown}px`;
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", picture.caption);
    const head = document.createElement("b"), name = document.createElement("span");
    head.textContent = picture.similar === undefined ? "query" : picture.similar.toFixed(3);
    name.textContent = name.title = picture.caption;
    name.className = "name";
    caption.append(head, name);
    made.append(box, caption);
    return made;
  }
  document.getElementById("title").textContent = data.title;
  document.getElementById("about").textContent = data.about;
  document.getElementById("answers").append(...data.answers.map((answer) => {
    const row = document.createElement("section"), near = document.createElement("div");
    row.className = "answer";
    near.className = "near";
    near.append(...answer.near.map(figure));
    row.append(figure(answer.query), near);
    return row;
  }));
})();
