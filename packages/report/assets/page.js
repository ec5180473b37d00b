// What the report does in a browser: the theme, charts that can be asked, tables that sort, and news while training.
/* global uPlot */
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const charts = [];
  const lossSeries = [
    { label: 'each step', role: 'muted', width: 1, steps: true },
    { label: 'training', role: 'first', value: ({ loss }) => loss },
    { label: 'validation', role: 'second', value: ({ val_loss }) => val_loss },
  ];
  const errorSeries = [
    { label: 'training, top-1', role: 'first', value: ({ train_top1_error }) => train_top1_error },
    { label: 'validation, top-1', role: 'second', value: ({ top1_error }) => top1_error },
    { label: 'validation, top-5', role: 'second', dash: [6, 4], value: ({ top5_error }) => top5_error },
  ];
  let isWaiting = false;

  followTheme();
  for (const table of document.querySelectorAll('table.sortable')) makeSortable(table);
  if (data.epochs.length > 0 || data.live) {
    for (const figure of document.querySelectorAll('.chart')) charts.push(makeChart(figure));
  }
  if (data.live) followTraining();

  /** The button turns the page dark or light, whatever the system says, and remembers it. */
  function followTheme() {
    const button = document.getElementById('theme');
    const system = matchMedia('(prefers-color-scheme: dark)');
    const remembered = attempt(() => localStorage.getItem('ilsvrc-theme'));
    if (remembered === 'dark' || remembered === 'light') document.documentElement.dataset.theme = remembered;
    const isDark = () =>
      (document.documentElement.dataset.theme ?? (system.matches ? 'dark' : 'light')) === 'dark';
    const show = () => {
      button.setAttribute('aria-pressed', String(isDark()));
      for (const chart of charts) chart.plot.redraw(false);
    };
    button.hidden = false;
    button.addEventListener('click', () => {
      const theme = isDark() ? 'light' : 'dark';
      document.documentElement.dataset.theme = theme;
      attempt(() => localStorage.setItem('ilsvrc-theme', theme));
      show();
    });
    system.addEventListener('change', show);
    show();
  }

  /** A press on a title sorts by its column; another one turns the order round. What has no value stays last. */
  function makeSortable(table) {
    const titles = [...table.tHead.rows[0].cells];
    const body = table.tBodies[0];
    titles.forEach((title, column) => {
      const isNumber = title.classList.contains('number');
      title.querySelector('button').addEventListener('click', () => {
        const before = title.getAttribute('aria-sort');
        const descending = before === 'none' ? isNumber : before === 'ascending';
        for (const other of titles) other.setAttribute('aria-sort', 'none');
        title.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
        const value = (row) => row.cells[column].dataset.value;
        const rows = [...body.rows].sort((a, b) => {
          if (value(a) === '' || value(b) === '') return Number(value(a) === '') - Number(value(b) === '');
          const order = isNumber ? value(a) - value(b) : value(a).localeCompare(value(b));
          return descending ? -order : order;
        });
        body.append(...rows);
      });
    });
  }

  /** A chart in place of the drawing: legend with the values under the pointer, zoom by dragging. */
  function makeChart(figure) {
    const kind = figure.dataset.chart;
    const title = document.createElement('h3');
    title.textContent = figure.dataset.title;
    const host = document.createElement('div');
    host.className = 'plot';
    host.setAttribute('role', 'img');
    figure.append(title, host);
    figure.classList.add('alive');
    if (data.live) figure.classList.add('following');
    const series = kind === 'loss' ? lossSeries : errorSeries;
    const axis = {
      stroke: () => colour('muted'),
      grid: { stroke: () => colour('grid'), width: 1 },
      ticks: { show: false },
    };
    const format = kind === 'loss' ? (value) => String(Number(value.toPrecision(3))) : percent;
    const options = {
      width: Math.max(host.clientWidth, 200),
      height: 290,
      padding: [20, null, null, null],
      scales: { x: { time: false }, y: { range: (_, __, high) => [0, (high || 1) * 1.05] } },
      series: [
        { label: 'epoch', value: (_, value) => (value == null ? '–' : String(Number(value.toFixed(2)))) },
        ...series.map(({ label, role, width = 2, dash }) => ({
          label,
          width,
          dash,
          stroke: () => colour(role),
          spanGaps: true,
          points: { show: role !== 'muted' && data.epochs.length <= 30, size: 6, fill: () => colour(role) },
          value: (_, value) => (value == null ? '–' : format(value)),
        })),
      ],
      axes: [
        { ...axis, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? tick : '')) },
        { ...axis, size: 56, values: (_, ticks) => ticks.map(format) },
      ],
      hooks: { drawAxes: [drawDrops] },
    };
    const plot = new uPlot(options, tableOf(series), host);
    new ResizeObserver(() => {
      const width = host.clientWidth;
      if (width > 0 && width !== plot.width) plot.setSize({ width, height: 290 });
    }).observe(host);
    /** The legend shows the last values until a pointer asks for others. */
    const showLast = () => {
      if (plot.cursor.idx == null) plot.setLegend({ idx: plot.data[0].length - 1 }, false);
    };
    const update = () => {
      plot.setData(tableOf(series));
      showLast();
    };
    // The chart draws itself for the first time after this.
    requestAnimationFrame(showLast);
    const chart = { plot, update };
    chart.describe = () => host.setAttribute('aria-label', describe(figure.dataset.title, series, format));
    chart.describe();
    return chart;
  }

  /** Values of all series at all places where one has a value. */
  function tableOf(series) {
    const places = new Map();
    const at = (x) => {
      if (!places.has(x))
        places.set(
          x,
          series.map(() => null),
        );
      return places.get(x);
    };
    series.forEach(({ steps, value }, index) => {
      if (steps) for (const { at: x, loss } of data.steps) at(x)[index] = loss;
      else for (const epoch of data.epochs) at(epoch.epoch)[index] = value(epoch);
    });
    const rows = [...places].sort(([a], [b]) => a - b);
    return [rows.map(([x]) => x), ...series.map((_, index) => rows.map(([, values]) => values[index]))];
  }

  function drawDrops(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = colour('muted');
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.lineWidth = devicePixelRatio;
    ctx.fillStyle = colour('muted');
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textAlign = 'center';
    let free = bbox.left;
    data.epochs.forEach(({ epoch, lr }, index) => {
      if (!(lr < (data.epochs[index - 1]?.lr ?? 0))) return;
      const x = plot.valToPos(epoch - 1, 'x', true);
      if (x < bbox.left || x > bbox.left + bbox.width) return;
      const text = `lr ${Number(lr.toPrecision(2))}`;
      const half = ctx.measureText(text).width / 2 + 4;
      if (x - half >= free && x + half <= bbox.left + bbox.width) {
        ctx.fillText(text, x, bbox.top - 4 * devicePixelRatio);
        free = x + half;
      }
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    });
    ctx.restore();
  }

  function describe(title, series, format) {
    const last = data.epochs.at(-1);
    if (last === undefined) return `${title}: no epoch yet`;
    const ends = series
      .filter(({ steps }) => !steps)
      .map(({ label, value }) => `${label} ${format(value(last))}`);
    return `${title}, after epoch ${last.epoch}: ${ends.join(', ')}`;
  }

  /** Events of the run's server: steps and epochs are added, the picture of the first layer is renewed. */
  function followTraining() {
    const status = document.getElementById('status');
    const say = (text) => {
      if (status.textContent !== text) status.textContent = text;
    };
    const source = new EventSource(`events?after=${data.live.after}`);
    const end = (text) => {
      source.close();
      status.classList.add('ended');
      say(text);
    };
    const on = (name, act) => source.addEventListener(name, ({ data: text }) => act(JSON.parse(text)));
    on('step', ({ at, loss, epoch, step, steps, images_per_second: rate }) => {
      data.steps.push({ at, loss });
      if (data.steps.length > 4000) data.steps = data.steps.filter((_, index) => index % 2 === 1);
      say(
        `Epoch ${epoch} of ${data.live.epochs}, step ${step} of ${steps}: loss ${loss.toFixed(3)}, ${Math.round(rate).toLocaleString('en-US')} images/s.`,
      );
      refresh();
    });
    on('epoch', (epoch) => {
      data.epochs = [...data.epochs.filter((other) => other.epoch !== epoch.epoch), epoch];
      addRow(epoch);
      refresh();
    });
    on('filters', ({ source: picture }) => {
      const kernels = document.getElementById('kernels');
      if (kernels === null) return;
      kernels.src = picture;
      kernels.hidden = false;
    });
    on('end', ({ text }) => end(text));
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) end('The training can no longer be reached.');
      else say('The connection is lost; trying again.');
    };
  }

  /** Draws once a frame, however many events came. */
  function refresh() {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => {
      isWaiting = false;
      for (const chart of charts) {
        chart.update();
        chart.describe();
      }
    });
  }

  function addRow(epoch) {
    const body = document.getElementById('epochs').tBodies[0];
    const row = body.insertRow();
    const { loss, val_loss, train_top1_error, top1_error, top5_error, lr } = epoch;
    const cells = [
      epoch.epoch,
      ...[loss, val_loss].map((value) => value.toFixed(4)),
      ...[train_top1_error, top1_error, top5_error].map((value) => `${(100 * value).toFixed(1)} %`),
      Number(lr.toPrecision(3)),
      ...[epoch.images_per_second, epoch.seconds].map((value) => Math.round(value).toLocaleString('en-US')),
    ];
    for (const cell of cells) {
      const place = row.insertCell();
      place.className = 'number';
      place.textContent = cell;
    }
  }

  function percent(value) {
    return `${Number((100 * value).toPrecision(3))} %`;
  }

  /** What a canvas takes: a CSS variable may hold one colour for light and one for dark. */
  function colour(role) {
    const probe = document.createElement('span');
    probe.style.color = `var(--${role})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  /** Storage may be forbidden for pages from the disk. */
  function attempt(act) {
    try {
      return act();
    } catch {
      return undefined;
    }
  }
})();
