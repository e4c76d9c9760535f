// BullMQ with undici: adds COUNT jobs, then works them off, a POST each: node worker.mjs URL COUNT IN_FLIGHT
// Prints jobs a second and µs of CPU (user and system) for each, from the start of the worker to the end of the last job.
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { Pool } from 'undici';

const [url, count, inFlight] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const connection = new Redis({
  host: process.env.REDIS_HOST,
  port: Number(process.env.REDIS_PORT),
  password: process.env.REDIS_PASSWORD,
  maxRetriesPerRequest: null,
});
const { origin, pathname } = new URL(url);
const sender = new Pool(origin, { connections: inFlight });

const queue = new Queue('bench', { connection });
await queue.obliterate({ force: true });
for (let start = 0; start < count; start += 1000) {
  const jobs = Array.from({ length: Math.min(1000, count - start) }, (_, index) => ({
    name: 'send',
    data: { phone: '15550100001@s.whatsapp.net', message: `number ${start + index}` },
    opts: { removeOnComplete: true, attempts: 3 },
  }));
  await queue.addBulk(jobs);
}

let ended = 0;
const before = process.cpuUsage();
const begun = performance.now();
await new Promise((resolve, reject) => {
  const worker = new Worker(
    'bench',
    async (job) => {
      const { statusCode, body } = await sender.request({
        path: pathname,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(job.data),
      });
      await body.json();
      if (statusCode !== 200) throw new Error(`the sender answered ${statusCode}`);
    },
    { connection, concurrency: inFlight },
  );
  worker.on('completed', () => {
    ended += 1;
    if (ended === count) resolve();
  });
  worker.on('failed', (_, error) => reject(error));
  worker.on('error', reject);
});
const seconds = (performance.now() - begun) / 1000;
const { user, system } = process.cpuUsage(before);
console.log(`${(count / seconds).toFixed(1)} ${((user + system) / count).toFixed(1)}`);
process.exit(0);
