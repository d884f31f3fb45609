// memjs against a server on 127.0.0.1:11211: its own suite runs on mocks only. Binary protocol.
// Prints `PASS name` or `FAIL name`.
'use strict';
const assert = require('assert');
const { Client } = require('memjs');

const client = Client.create('127.0.0.1:11211', { timeout: 5, retries: 0 });
const text = async (key) => {
  const { value } = await client.get(key);
  return value === null ? null : value.toString();
};

const tests = {
  async 'get of a missing key'() {
    assert.strictEqual(await text('missing'), null);
  },
  async 'set and get, with binary bytes'() {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    assert.strictEqual(await client.set('bytes', bytes), true);
    assert.deepStrictEqual((await client.get('bytes')).value, bytes);
  },
  async 'a value of 900,000 bytes'() {
    const bytes = Buffer.alloc(900000, 'x');
    assert.strictEqual(await client.set('large', bytes), true);
    assert.ok((await client.get('large')).value.equals(bytes));
  },
  async 'a value that is too large is refused'() {
    await assert.rejects(client.set('too-large', Buffer.alloc(1100000, 'x')));
  },
  async 'add stores a new key only'() {
    await client.delete('added');
    assert.strictEqual(await client.add('added', 'first'), true);
    assert.strictEqual(await client.add('added', 'second'), false);
    assert.strictEqual(await text('added'), 'first');
  },
  async 'replace needs an item'() {
    await client.delete('replaced');
    assert.strictEqual(await client.replace('replaced', 'first'), false);
    await client.set('replaced', 'first');
    assert.strictEqual(await client.replace('replaced', 'second'), true);
    assert.strictEqual(await text('replaced'), 'second');
  },
  async 'delete, once'() {
    await client.set('deleted', 'x');
    assert.strictEqual(await client.delete('deleted'), true);
    assert.strictEqual(await client.delete('deleted'), false);
  },
  async 'increment with an initial value, and decrement'() {
    await client.delete('count');
    assert.strictEqual((await client.increment('count', 5, { initial: 10 })).value, 10);
    assert.strictEqual((await client.increment('count', 5)).value, 15);
    assert.strictEqual((await client.decrement('count', 20, {})).value, 0);
    assert.strictEqual(await text('count'), '0 ');
  },
  async 'append and prepend'() {
    await client.set('list', 'b');
    assert.strictEqual(await client.append('list', 'c'), true);
    assert.strictEqual(await text('list'), 'bc');
    assert.strictEqual(await client.prepend('list', 'a'), true);
    assert.strictEqual((await text('list')).length, 3);
  },
  async 'touch'() {
    await client.set('touched', 'x');
    assert.strictEqual(await client.touch('touched', 100), true);
    assert.strictEqual(await client.touch('missing', 100), false);
  },
  async '100 requests at once'() {
    const keys = Array.from({ length: 100 }, (_, index) => `key${index}`);
    await Promise.all(keys.map((key) => client.set(key, key)));
    assert.deepStrictEqual(await Promise.all(keys.map(text)), keys);
  },
  async 'stats'() {
    const stats = await new Promise((resolve, reject) =>
      client.stats((error, server, found) => (error ? reject(error) : resolve(found))));
    assert.ok(Number(stats.curr_items) > 100);
    assert.match(stats.version, /^1\.\d+\.\d+/);
  },
  async 'flush'() {
    await client.set('flushed', 'x');
    await client.flush();
    assert.strictEqual(await text('flushed'), null);
  },
};

(async () => {
  for (const [name, test] of Object.entries(tests)) {
    try {
      await test();
      console.log(`PASS ${name}`);
    } catch (error) {
      console.log(`FAIL ${name}`);
      console.log(error);
    }
  }
  client.close();
  process.exit(0);
})();
