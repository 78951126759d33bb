// What engines of today have: classes, private members, arrows, destructuring, `??`, `?.`, `**`, generators, maps.
const SENSORS = new Map([[1, { name: 'temperature', size: 2, read: (view) => view.getInt16(0) * 10 ** -1 }],
                         [2, { name: 'pressure', size: 4, read: (view) => view.getFloat32(0) }],
                         [3, { name: 'counter', size: 8, read: (view) => Number(view.getBigUint64(0)) }]]);

class Reader {
  #view;
  static from = (bytes) => new Reader(new DataView(Uint8Array.from(bytes).buffer));
  constructor(view) { this.#view = view; }
  *fields() {
    for (let at = 0; at < this.#view.byteLength; ) {
      const sensor = SENSORS.get(this.#view.getUint8(at));
      if (!sensor) { yield ['unknown', this.#view.getUint8(at)]; return; }
      const { name, size, read } = sensor;
      yield [name, read(new DataView(this.#view.buffer, at + 1, size))];
      at += size + 1;
    }
  }
  get length() { return this.#view?.byteLength ?? 0; }
}

const decodeUplink = ({ bytes, fPort = 1, ...rest }) => {
  const reader = Reader.from(bytes);
  const data = Object.fromEntries(reader.fields());
  const seen = new Set(Object.keys(data));
  return { data: { ...data, length: reader.length, label: `port ${fPort}`, first: data?.nothing?.at ?? 'none',
                   seen: [...seen].sort().join(), flat: [[1, [2]], [3]].flat(Infinity), last: bytes.at(-1), big: 1_000_000 } };
};
