"use strict";
(() => {
  const all = (selector, within) => [...within.querySelectorAll(selector)];
  const large = document.getElementById("large");
  large.addEventListener("click", () => large.close());

  // a picture, enlarged
  const enlarge = (image) => {
    const shown = large.querySelector("img");
    shown.src = image.src;
    shown.className = image.className;
    large.querySelector("p").textContent = image.alt;
    large.showModal();
  };

  // moments of the training behind a slider
  const film = (box) => {
    const shots = all(".shot", box), slider = box.querySelector("input"), screen = box.querySelector(".screen");
    const show = (index) => {
      const image = shots[index].querySelector("img");
      Object.assign(screen.querySelector("img"), { src: image.src, alt: image.alt, className: image.className });
      screen.querySelector("figcaption").textContent = image.alt;
      shots.forEach((shot, place) => shot.classList.toggle("now", place === index));
      slider.value = index;
    };
    slider.addEventListener("input", () => show(Number(slider.value)));
    shots.forEach((shot, index) => shot.addEventListener("click", () => show(index)));
    show(shots.length - 1);
  };

  // the values under the pointer
  const plot = (svg) => {
    const data = JSON.parse(svg.dataset.plot), cursor = svg.querySelector(".cursor");
    const output = svg.parentElement.querySelector("output");
    const nearest = (xs, x) => xs.reduce((best, each, place) => (Math.abs(each - x) < Math.abs(xs[best] - x) ? place : best), 0);
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const at = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      const share = Math.min(1, Math.max(0, (at - data.left) / (data.right - data.left)));
      const x = share * data.last;
      cursor.setAttribute("x1", data.left + share * (data.right - data.left));
      cursor.setAttribute("x2", data.left + share * (data.right - data.left));
      const values = data.curves.filter((curve) => curve.x.length).map((curve) => {
        const value = curve.y[nearest(curve.x, x)];
        return data.curves.length > 1 ? `${curve.name.replaceAll("_", " ")} ${value}` : `${value}`;
      });
      output.textContent = `${values.join(", ")} at ${Math.round(x).toLocaleString("en")}`;
    });
    svg.addEventListener("pointerleave", () => {
      cursor.setAttribute("x1", -9);
      cursor.setAttribute("x2", -9);
      output.textContent = "";
    });
  };

  // the place in the picture that a pixel of the sample comes from
  const traced = (box) => {
    const codes = atob(box.dataset.codes), width = Number(box.dataset.width), height = Number(box.dataset.height);
    const from = all(".from div", box), to = box.querySelector(".to div");
    const put = (area, x, y) => {
      const mark = area.querySelector("i");
      mark.style.cssText = `display: block; left: ${100 * x}%; top: ${100 * y}%`;
    };
    const point = (event) => {
      const bounds = event.currentTarget.getBoundingClientRect();
      const x = Math.min(0.9999, Math.max(0, (event.clientX - bounds.left) / bounds.width));
      const y = Math.min(0.9999, Math.max(0, (event.clientY - bounds.top) / bounds.height));
      const place = 2 * (Math.floor(y * height) * width + Math.floor(x * width));
      const centre = (code, length) => ((codes.charCodeAt(code) / 255) * (length - 1) + 0.5) / length;
      from.forEach((area) => put(area, x, y));
      put(to, centre(place, width), centre(place + 1, height));
    };
    for (const area of from) {
      area.addEventListener("pointermove", point);
      area.addEventListener("pointerdown", point);
    }
  };

  const copyable = (command) => {
    if (!navigator.clipboard) return;
    const button = document.createElement("button");
    button.textContent = "copy";
    button.addEventListener("click", () => {
      navigator.clipboard.writeText(command.querySelector("code").textContent).then(
        () => (button.textContent = "copied"),
        () => (button.textContent = "select and copy"),
      );
    });
    command.querySelector("p").append(button);
  };

  const setUp = (main) => {
    all(".shot img", main).filter((image) => !image.closest(".film")).forEach((image) => image.addEventListener("click", () => enlarge(image)));
    all(".film", main).forEach(film);
    all("svg[data-plot]", main).forEach(plot);
    all(".traced", main).forEach(traced);
    all(".command", main).forEach(copyable);
  };
  setUp(document.querySelector("main"));

  // while it trains: ask for news, and put them in place of the old
  if (!("live" in document.body.dataset)) return;
  let version = null;
  const progress = async () => {
    const now = await (await fetch("/progress", { cache: "no-store" })).json();
    all(".progress progress", document).forEach((bar) => (bar.value = now.share));
    all(".progress output", document).forEach((text) => (text.textContent = now.text));
  };
  const renew = async () => {
    try {
      await progress();
      const newest = await (await fetch("/version", { cache: "no-store" })).text();
      if (version !== null && newest !== version && !large.open) {
        const page = new DOMParser().parseFromString(await (await fetch("/", { cache: "no-store" })).text(), "text/html");
        const old = document.querySelector("main"), fresh = document.adoptNode(page.querySelector("main"));
        const open = new Map(all("details", old).map((each) => [each.id, each.open]));
        all("details", fresh).forEach((each) => { if (open.has(each.id)) each.open = open.get(each.id); });
        old.replaceWith(fresh);
        setUp(fresh);
        await progress();
      }
      if (version === null || !large.open) version = newest;
    } catch {
      all(".badge.live", document).forEach((badge) => (badge.textContent = "the training has ended or cannot be reached"));
      return;
    }
    setTimeout(renew, 2000);
  };
  renew();
})();
