/** The store that torchrun keeps for its ranks (PyTorch's `TCPStore`), as far as they ask it: for tests without PyTorch. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

/** The first byte of a request. */
const [SET, GET, ADD] = [1, 3, 4];
/** What a connection begins with. */
const hello = Buffer.from([0, 0xce, 0xf7, 0x85, 0x3c]);

/** Starts one at a free port; `close` ends it as the end of torchrun would. */
export async function serveStore(): Promise<{ port: number; close: () => void }> {
  const texts = new Map<string, Buffer>();
  const counts = new Map<string, bigint>();
  const open = new Set<Socket>();
  const server = createServer(async (socket) => {
    open.add(socket);
    const read = reader(socket);
    const readText = async () => read(Number((await read(8)).readBigUInt64LE()));
    try {
      if (!(await read(hello.length)).equals(hello)) throw new Error('no client of a store');
      for (;;) {
        const [kind] = await read(1);
        const key = (await readText()).toString();
        if (kind === SET) {
          texts.set(key, await readText());
        } else if (kind === GET) {
          const text = texts.get(key);
          if (text === undefined) throw new Error(`nobody has set ${key}`);
          socket.write(Buffer.concat([number(BigInt(text.length)), text]));
        } else if (kind === ADD) {
          const count = (counts.get(key) ?? 0n) + (await read(8)).readBigInt64LE();
          counts.set(key, count);
          socket.write(number(count));
        } else {
          throw new Error(`no request is ${kind}`);
        }
      }
    } catch {
      // The client has hung up, or is none.
      socket.destroy();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = () => {
    server.close();
    for (const socket of open) socket.destroy();
  };
  return { port: (server.address() as AddressInfo).port, close };
}

/** Reads so many bytes of what comes; rejects when nothing comes any more. */
function reader(socket: Socket): (length: number) => Promise<Buffer> {
  const chunks = socket.iterator();
  let rest = Buffer.alloc(0);
  return async (length) => {
    while (rest.length < length) {
      const { value, done } = await chunks.next();
      if (done) throw new Error('hung up');
      rest = Buffer.concat([rest, value]);
    }
    const bytes = rest.subarray(0, length);
    rest = rest.subarray(length);
    return bytes;
  };
}

function number(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return bytes;
}
