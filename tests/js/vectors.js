// Reads the golden vectors of blocks with nothing but what was written from docs/FORMAT.md: `node vectors.js DIRECTORY`.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Refused, encode, entriesOf, nodeId, parseId, readNode } from './objects.js'
import { Objects } from './store.js'

const read = (file) => JSON.parse(readFileSync(join(process.argv[2], file), 'utf8'))
const bytesOf = (hex) => Buffer.from(hex, 'hex')

function blocksOf (inner) {
  const blocks = new Map()
  for (const [id, hex] of Object.entries(inner ?? {})) {
    const isRaw = id.startsWith('bafk')
    if (!isRaw) assert.equal(nodeId(bytesOf(hex)).text, id)
    blocks.set(id, isRaw ? { kind: 'raw', value: bytesOf(hex) } : readNode(bytesOf(hex)))
  }
  return blocks
}

for (const { name, block, id, inner } of read('objects.json')) {
  const node = readNode(bytesOf(block))
  assert.equal(nodeId(bytesOf(block)).text, id, name)
  assert.equal(parseId(id).text, id, name)
  const blocks = blocksOf(inner)
  if (node.kind.startsWith('big')) entriesOf(node.kind, node.value, (link) => blocks.get(link.text))
}

for (const { name, block } of read('refused.json')) assert.throws(() => readNode(bytesOf(block)), Refused, name)

for (const { name, entries, root } of read('hamts.json')) {
  const pairs = Object.entries(entries).map(([key, id]) => [Buffer.from(key), parseId(id)])
  const hamt = new Objects(new Map()).hamt(pairs.sort(([a], [b]) => Buffer.compare(a, b)), 0)
  const built = new Map([['hashAlg', 18n], ['bucketSize', 3n], ['hamt', hamt]])
  assert.equal(encode(built).toString('hex'), root, name)
}

for (const { name, before, patch, after, inner } of read('patches.json')) {
  const changes = new Map(Object.entries(patch).map(([path, link]) => [path, link && parseId(link['/'])]))
  assert.equal(new Objects(blocksOf(inner)).patched(parseId(before), changes).text, after, name)
}

const counts = ['objects', 'refused', 'hamts', 'patches'].map((file) => [file, read(`${file}.json`).length])
console.log(JSON.stringify(Object.fromEntries(counts)))
