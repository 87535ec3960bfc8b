// Sections 1 to 10 of docs/FORMAT.md, read strictly: what a block may be. Written from that page alone, and with no
// package: a block that this file and `understudy` see differently is a gap of the page or a bug in one of the two.
// Integers are BigInts, maps are Maps, links are Links, so nothing is rounded and no key is special.
import { createHash } from 'node:crypto'

export class Refused extends Error {}
export class Missing extends Error {}
export const must = (condition, reason) => { if (!condition) throw new Refused(reason) }

export const MIB = 1024 * 1024
const MAX_NODE = 2 * MIB
export const FLAT = 64
const MAX_DEPTH = 64
const sha256 = (bytes) => createHash('sha256').update(bytes).digest()
export const hexDigest = (bytes) => sha256(bytes).toString('hex')
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const sizeOf = (text) => Buffer.byteLength(text)

// Section 1: ids.
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'
const RAW = 0x55
const NODE = 0x71

export class Link {
  constructor (bytes) {
    must(bytes.length === 36 && bytes[0] === 1 && [RAW, NODE].includes(bytes[1]) && bytes[2] === 0x12 && bytes[3] === 0x20, 'a link is not an id')
    this.bytes = Buffer.from(bytes)
    this.isRaw = bytes[1] === RAW
    let bits = ''
    for (const byte of bytes) bits += byte.toString(2).padStart(8, '0')
    this.text = 'b' + bits.padEnd(290, '0').match(/.{5}/g).map((five) => ALPHABET[parseInt(five, 2)]).join('')
  }

  toString () { return this.text }
}
export const idOf = (codec, block) => new Link(Buffer.concat([Buffer.from([1, codec, 0x12, 0x20]), sha256(block)]))
export const nodeId = (block) => idOf(NODE, block)

export function parseId (text) {
  must(/^b[a-z2-7]{58}$/.test(text), 'an id as text is not one')
  let bits = ''
  for (const letter of text.slice(1)) bits += ALPHABET.indexOf(letter).toString(2).padStart(5, '0')
  must(bits.endsWith('00'), 'an id as text has spare bits')
  return new Link(Uint8Array.from(bits.slice(0, 288).match(/.{8}/g), (byte) => parseInt(byte, 2)))
}

// Section 1: DAG-CBOR. A block is canonical if encoding what it says gives it again.
function head (major, number) {
  const type = major << 5
  if (number < 24n) return Buffer.from([type | Number(number)])
  const size = number < 0x100n ? 1 : number < 0x10000n ? 2 : number < 0x100000000n ? 4 : 8
  const bytes = Buffer.alloc(9)
  bytes.writeBigUInt64BE(number, 1)
  bytes[8 - size] = type | (24 + Math.log2(size))
  return bytes.subarray(8 - size)
}

const byLengthThenBytes = (a, b) => a.length - b.length || Buffer.compare(a, b)

export function encode (value) {
  if (value === null) return Buffer.from([0xf6])
  if (typeof value === 'bigint') return value < 0n ? head(1, -1n - value) : head(0, value)
  if (typeof value === 'string') return Buffer.concat([head(3, BigInt(sizeOf(value))), Buffer.from(value)])
  if (value instanceof Link) return Buffer.concat([head(6, 42n), head(2, 37n), Buffer.from([0]), value.bytes])
  if (value instanceof Uint8Array) return Buffer.concat([head(2, BigInt(value.length)), value])
  if (Array.isArray(value)) return Buffer.concat([head(4, BigInt(value.length)), ...value.map(encode)])
  const keys = [...value.keys()].sort((a, b) => byLengthThenBytes(Buffer.from(a), Buffer.from(b)))
  return Buffer.concat([head(5, BigInt(value.size)), ...keys.flatMap((key) => [encode(key), encode(value.get(key))])])
}

export function decode (block) {
  let at = 0
  const take = (size) => {
    must(size <= block.length - at, 'a node ends too early')
    return block.subarray(at, at += Number(size))
  }
  const number = (low) => {
    if (low < 24) return BigInt(low)
    must(low < 28, 'a length of no kind')
    return BigInt('0x' + Buffer.from(take(2 ** (low - 24))).toString('hex'))
  }
  const text = (bytes) => {
    try {
      return utf8.decode(bytes)
    } catch {
      throw new Refused('a text that is not UTF-8')
    }
  }
  const item = (depth) => {
    const [first] = take(1)
    const major = first >> 5
    must(major !== 7 || first === 0xf6, 'neither float, boolean nor simple value may stand in a node')
    if (major === 7) return null
    const count = number(first & 31)
    must(major < 4 || major === 6 || depth < MAX_DEPTH, 'nested too deep')
    must(major < 2 ? count < 2n ** 63n : count <= block.length, 'a number too large')
    if (major === 0) return count
    if (major === 1) return -1n - count
    if (major === 2) return Buffer.from(take(count))
    if (major === 3) return text(take(count))
    if (major === 4) return Array.from({ length: Number(count) }, () => item(depth + 1))
    if (major === 6) {
      const bytes = item(depth)
      must(count === 42n && bytes instanceof Uint8Array && bytes[0] === 0, 'a tag that is no link')
      return new Link(bytes.subarray(1))
    }
    const map = new Map()
    for (let left = count; left > 0n; left--) {
      const key = item(depth + 1)
      must(typeof key === 'string', 'a key that is no text')
      map.set(key, item(depth + 1))
    }
    return map
  }
  const value = item(0)
  must(at === block.length && encode(value).equals(block), 'not canonical')
  return value
}

// Checks of single values: each throws, or gives nothing.
const integer = (low, high = 2n ** 63n - 1n) => (value) => must(typeof value === 'bigint' && value >= low && value <= high, 'an integer out of its bounds')
const text = (low, high) => (value) => must(typeof value === 'string' && sizeOf(value) >= low && sizeOf(value) <= high, 'a text out of its bounds')
const free = text(0, Infinity)
const label = (value) => { text(1, 255)(value); must(!/\p{Cc}/u.test(value), 'a control character') }
const word = text(1, Infinity)
const digest = (value) => must(typeof value === 'string' && /^[0-9a-f]{64}$/.test(value), 'no digest')
const link = (value) => must(value instanceof Link, 'no link')
const linkToNode = (value) => { link(value); must(!value.isRaw, 'a link to a blob where a node is wanted') }
const linkToRaw = (value) => { link(value); must(value.isRaw, 'a link to a node where a chunk is wanted') }
const textOfNode = (value) => { free(value); must(!parseId(value).isRaw, 'the id of a blob where that of a node is wanted') }
const list = (low, high, check) => (value) => {
  must(Array.isArray(value) && value.length >= low && value.length <= high, 'a list out of its bounds')
  value.forEach(check)
}
const mapOf = (low, high, key, check) => (value) => {
  must(value instanceof Map && value.size >= low && value.size <= high, 'a map out of its bounds')
  for (const [name, item] of value) { key(name); check(item) }
}
const struct = (required, optional = {}) => (value) => {
  must(value instanceof Map, 'no map')
  for (const name of Object.keys(required)) must(value.has(name), `no field ${name}`)
  for (const [name, item] of value) {
    must(Object.hasOwn(required, name) || Object.hasOwn(optional, name), `an unknown field ${name}`)
    ;(required[name] ?? optional[name])(item)
  }
}

// Section 2.
export function name (value) {
  label(value)
  must(!value.includes('/') && value !== '.' && value !== '..' && !value.startsWith('\ufeff'), 'no name')
}
export const isOutside = (party) => party.startsWith('out/')
function party (value) {
  free(value)
  if (isOutside(value)) must(/^out\/[A-Za-z0-9._~-]{1,64}\/[A-Za-z0-9._~-]{1,64}$/.test(value), 'no party')
  else textOfNode(value)
}

// Section 5. The values of a large map are checked where it is read as a whole, since only its root says whose it is.
const bits = (bytes) => bytes.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0)
const child = (value) => value instanceof Link
function mapNode (value, isRoot) {
  must(Array.isArray(value) && value.length === 2, 'no node of a map')
  const [bitmap, data] = value
  must(bitmap instanceof Uint8Array && bitmap.length === 2 && Array.isArray(data) && bits(bitmap) === data.length, 'a bitmap that does not fit')
  for (const element of data) {
    if (child(element)) linkToNode(element)
    else {
      list(1, 3, (entry) => must(Array.isArray(entry) && entry.length === 2 && entry[0] instanceof Uint8Array && entry[0][0] >= 0x20, 'no entry'))(element)
      must(element.every(([key], place) => place === 0 || Buffer.compare(element[place - 1][0], key) < 0), 'a bucket out of order')
    }
  }
  must(isRoot || data.some(child) || data.flat().length > 3, 'a node that belongs into a bucket')
}
const bigMap = (value) => {
  must(Array.isArray(value) && value.length === 2, 'no large map')
  integer(BigInt(FLAT + 1))(value[0])
  struct({
    hashAlg: integer(18n, 18n),
    bucketSize: integer(3n, 3n),
    hamt: (root) => mapNode(root, true)
  })(value[1])
}

// Section 6.
function mailboxKey (key) {
  free(key)
  party(key.replace(/^(signal|update)\//, ''))
}
const cursor = (value) => {
  must(Array.isArray(value) && value.length === 2, 'no cursor')
  integer(1n)(value[0])
  linkToNode(value[1])
}
const mailbox = (value) => value instanceof Link ? linkToNode(value) : mapOf(0, FLAT, mailboxKey, cursor)(value)

// Section 8.
function patch (value) {
  mapOf(1, Infinity, (path) => {
    text(1, 4096)(path)
    const names = path.split('/')
    must(names.length <= 64, 'a path of too many names')
    names.forEach(name)
  }, (target) => target === null || link(target))(value)
  for (const path of value.keys()) {
    for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1)) must(!value.has(path.slice(0, at)), 'a path below another')
  }
}

function blob (value) {
  struct({ size: integer(BigInt(MIB + 1)), sha256: digest, chunks: list(2, 40000, linkToRaw) })(value)
  must(BigInt(value.get('chunks').length) === (value.get('size') + BigInt(MIB - 1)) / BigInt(MIB), 'a size that its chunks do not have')
}

function message (value) {
  struct({ to: party, from: party, seq: integer(1n), type: label, content: link }, {
    lane: (lane) => must(['signal', 'update'].includes(lane), 'no lane'),
    previous: textOfNode,
    after: textOfNode,
    re: textOfNode,
    headers: mapOf(1, 64, label, text(0, 8192))
  })(value)
  must(value.has('previous') === value.get('seq') > 1n, 'a previous message where there is none, or none where there is one')
  must(!value.has('after') || !isOutside(value.get('from')), 'a step of a sender outside')
}

const failure = struct({ code: word, text: free })
function entry (value) {
  struct({ path: word, request: digest }, { reply: link, error: failure, step: textOfNode })(value)
  must(value.has('reply') !== value.has('error'), 'neither a reply nor an error, or both')
  must(!value.get('path').startsWith('query/') || value.has('error') || value.has('step'), 'an answer of no step')
}

const ENGINE = /^([a-z][a-z0-9-]*)\/(0|[1-9][0-9]*)((?:;[a-z][a-z0-9-]*=[a-z0-9A-Z._-]+)*)$/
export function engineOf (value) {
  text(1, 255)(value)
  const found = ENGINE.exec(value)
  must(found, 'no engine text')
  const parts = found[3].split(';').slice(1).map((part) => part.split('='))
  must(parts.every(([key], place) => place === 0 || parts[place - 1][0] < key), 'the parts of an engine text are not sorted')
  return { name: found[1], abi: found[2], parts: new Map(parts) }
}

function step (value) {
  must(value.size === 2, 'a step has two keys')
  const parent = value.get('parent')
  if (parent !== null) linkToNode(parent)
  struct({
    v: integer(1n, 1n),
    actor: linkToNode,
    height: integer(0n),
    time: integer(0n),
    seed: integer(0n, 2n ** 53n - 1n),
    engine: engineOf,
    core: linkToNode,
    inbox: mailbox,
    outbox: mailbox,
    consumed: list(1, 512, linkToNode),
    sent: list(0, 10000, linkToNode)
  }, {
    outcome: struct({ kind: (kind) => must(['failed', 'refused', 'noop', 'cut'].includes(kind), 'no outcome'), code: word, text: text(0, 8192) }),
    journal: linkToNode,
    log: link,
    'component-hash': digest
  })(value.get('data'))
  must((parent === null) === (value.get('data').get('height') === 0n), 'a height that does not fit the parent')
}

const KINDS = {
  tree: mapOf(0, FLAT, name, link),
  bigtree: bigMap,
  blob,
  patch,
  message,
  journal: list(1, 10000, entry),
  bigmailbox: bigMap
}

// What a node is: its kind, and the value behind it. A node of no kind of this page is refused.
export function readNode (block) {
  must(block.length <= MAX_NODE, 'a node too large')
  const node = decode(block)
  if (Array.isArray(node)) {
    mapNode(node, false)
    return { kind: 'inner', value: node }
  }
  must(node instanceof Map, 'no node')
  if (node.has('parent') && node.has('data')) {
    step(node)
    return { kind: 'step', value: node }
  }
  const [kind, value] = [...node][0] ?? []
  must(node.size === 1 && Object.hasOwn(KINDS, kind), 'a node of no known kind')
  KINDS[kind](value)
  return { kind, value }
}

// A large map as a whole: its entries by name, in the order of the map. `load` gives the block of a link as readNode does.
export function entriesOf (kind, [count, root], load) {
  const found = new Map()
  const check = kind === 'bigtree' ? [name, link] : [mailboxKey, cursor]
  const walk = ([bitmap, data], way) => {
    must(way.length < 64, 'a path of too many nodes')
    const places = Array.from({ length: 16 }, (_, bit) => bit).filter((bit) => bitmap[bit >> 3] >> (bit & 7) & 1)
    data.forEach((element, place) => {
      const here = way + places[place].toString(16)
      if (child(element)) {
        const below = load(element)
        must(below.kind === 'inner', 'a child that is no node of a map')
        return walk(below.value, here)
      }
      for (const [key, value] of element) {
        must(hexDigest(key).startsWith(here), 'a key out of its place')
        must(Buffer.from(key.toString()).equals(key), 'a key that is not UTF-8')
        check[0](key.toString())
        check[1](value)
        found.set(key.toString(), value)
      }
    })
  }
  walk(root.get('hamt'), '')
  must(BigInt(found.size) === count, 'a count that is not that of the entries')
  return found
}
