// Sections 3, 4, 5, 8 and 12 of docs/FORMAT.md: files of blocks, and what needs more than one block.
import { FLAT, Link, MIB, Missing, Refused, decode, encode, entriesOf, hexDigest, idOf, must, nodeId, readNode } from './objects.js'

// Section 12: a CARv1. Every block is checked; what no root leads to is left out by whoever judges.
export function readCar (bytes) {
  let at = 0
  const take = (size) => {
    must(size <= bytes.length - at, 'the file ends within a section')
    return bytes.subarray(at, at += size)
  }
  const length = () => {
    let value = 0n
    for (let shift = 0n; shift < 63n; shift += 7n) {
      const [byte] = take(1)
      value |= BigInt(byte & 127) << shift
      if (byte < 128) {
        must(byte > 0 || shift === 0n, 'a length that is not the shortest')
        return value
      }
    }
    throw new Refused('a length without an end')
  }
  const size = length()
  must(size >= 1n && size <= BigInt(MIB), 'a header out of its bounds')
  const header = decode(take(Number(size)))
  must(header instanceof Map && header.size === 2 && header.get('version') === 1n, 'no header of a CARv1')
  const roots = header.get('roots')
  must(Array.isArray(roots) && roots.every((root) => root instanceof Link), 'a root that is no link')
  const blocks = new Map()
  while (at < bytes.length) {
    const size = length()
    must(size >= 36n && size <= BigInt(36 + 2 * MIB), 'a section out of its bounds')
    const section = take(Number(size))
    const link = new Link(section.subarray(0, 36))
    const block = section.subarray(36)
    must(idOf(link.bytes[1], block).text === link.text, `${link} is not the id of its block`)
    if (link.isRaw) must(block.length <= MIB, 'a raw block too large')
    blocks.set(link.text, link.isRaw ? { kind: 'raw', value: block } : readNode(block))
  }
  return { roots: new Map(roots.map((root) => [root.text, root])), blocks }
}

// The objects of one file, and of what is computed from them.
export class Objects {
  constructor (blocks) {
    this.blocks = blocks
    this.checked = new Set()
    this.maps = new Map()
    this.depths = new Map()
  }

  load (link) {
    const found = this.blocks.get(link.text)
    if (!found) throw new Missing(link.text)
    return found
  }

  node (link, kind) {
    const found = this.load(link)
    must(found.kind === kind, `${link} is no ${kind}`)
    return found.value
  }

  put (node) {
    const block = encode(node)
    const id = nodeId(block)
    this.blocks.set(id.text, readNode(block))
    return id
  }

  entries (link) {
    const { kind, value } = this.load(link)
    if (kind === 'tree') return value
    must(kind === 'bigtree' || kind === 'bigmailbox', `${link} is no map`)
    if (!this.maps.has(link.text)) this.maps.set(link.text, entriesOf(kind, value, (inner) => this.load(inner)))
    return this.maps.get(link.text)
  }

  isTree (link) { return !link.isRaw && ['tree', 'bigtree'].includes(this.load(link).kind) }
  mailbox (value) { return value instanceof Link ? this.entries(value) : value }

  // Section 1: all that a link leads to is there, and of the kind that each schema asks for.
  check (link, wanted) {
    try {
      this.walk([[link, wanted]])
    } catch (error) {
      this.checked.clear() // what was begun is not good because it was begun
      throw error
    }
  }

  walk (waiting) {
    while (waiting.length > 0) {
      const [link, wanted] = waiting.pop()
      if (this.checked.has(`${link} ${wanted}`)) continue
      this.checked.add(`${link} ${wanted}`)
      const { kind, value } = this.load(link)
      must(WANTED[wanted].includes(kind), `${link} is not the ${wanted} that a link asks for`)
      if (kind === 'tree' || kind === 'bigtree') this.depth(link)
      waiting.push(...this.linksOf(link, kind, value))
    }
  }

  linksOf (link, kind, value) {
    const cursors = (mailbox) => [...mailbox.values()].map(([, message]) => [message, 'message'])
    if (kind === 'raw') return []
    if (kind === 'tree' || kind === 'bigtree') return [...this.entries(link).values()].map((entry) => [entry, 'any'])
    if (kind === 'bigmailbox') return cursors(this.entries(link))
    if (kind === 'blob') {
      this.bytes(link)
      return []
    }
    if (kind === 'message') return [[value.get('content'), 'any']]
    if (kind === 'patch') return [...value.values()].filter(Boolean).map((entry) => [entry, 'any'])
    if (kind === 'journal') return value.filter((entry) => entry.has('reply')).map((entry) => [entry.get('reply'), 'any'])
    if (kind === 'inner') return linksIn(value).map((entry) => [entry, 'any'])
    const [parent, data] = [value.get('parent'), value.get('data')]
    const core = data.has('outcome') ? 'any' : 'tree'
    const mailboxes = ['inbox', 'outbox'].map((field) => data.get(field))
    return [
      ...(parent ? [[parent, 'step']] : []),
      [data.get('actor'), 'any'],
      [data.get('core'), core],
      ...mailboxes.flatMap((mailbox) => mailbox instanceof Link ? [[mailbox, 'mailbox']] : cursors(mailbox)),
      ...[...data.get('consumed'), ...data.get('sent')].map((message) => [message, 'message']),
      ...(data.has('journal') ? [[data.get('journal'), 'journal']] : []),
      ...(data.has('log') ? [[data.get('log'), 'blob']] : [])
    ]
  }

  // Section 4: how many trees stand one inside the other. A tree that itself stands in a tree is counted from above.
  depth (link) {
    if (link.isRaw || !this.isTree(link)) return 0
    if (!this.depths.has(link.text)) {
      this.depths.set(link.text, 1 + Math.max(0, ...[...this.entries(link).values()].map((entry) => this.depth(entry))))
    }
    must(this.depths.get(link.text) <= 256, 'trees nested too deep')
    return this.depths.get(link.text)
  }

  // Section 3: the bytes of a blob, its chunks and its digest checked.
  bytes (link) {
    const { kind, value } = this.load(link)
    if (kind === 'raw') return value
    must(kind === 'blob', `${link} is no blob`)
    const chunks = value.get('chunks').map((chunk) => this.load(chunk).value)
    must(chunks.slice(0, -1).every((chunk) => chunk.length === MIB), 'a chunk that is not 1 MiB')
    const whole = Buffer.concat(chunks)
    must(BigInt(whole.length) === value.get('size') && hexDigest(whole) === value.get('sha256'), 'a blob of another size or digest')
    return whole
  }

  // Sections 4 and 5: a tree of these entries.
  tree (entries) {
    if (entries.size <= FLAT) return this.put(new Map([['tree', entries]]))
    const pairs = [...entries].map(([key, value]) => [Buffer.from(key), value])
    const hamt = this.hamt(pairs.sort(([a], [b]) => Buffer.compare(a, b)), 0)
    const root = new Map([['hashAlg', 18n], ['bucketSize', 3n], ['hamt', hamt]])
    return this.put(new Map([['bigtree', [BigInt(entries.size), root]]]))
  }

  hamt (pairs, depth) {
    const bitmap = Buffer.alloc(2)
    const data = []
    for (let nibble = 0; nibble < 16; nibble++) {
      const here = pairs.filter(([key]) => parseInt(hexDigest(key)[depth], 16) === nibble)
      if (here.length === 0) continue
      bitmap[nibble >> 3] |= 1 << (nibble & 7)
      data.push(here.length <= 3 ? here : this.put(this.hamt(here, depth + 1)))
    }
    return [bitmap, data]
  }

  // Section 8: the tree after a patch. Throws Refused where it does not fit.
  patched (tree, patch) {
    const top = new Map()
    for (const [path, target] of patch) {
      const names = path.split('/')
      let at = top
      for (const name of names.slice(0, -1)) at = at.set(name, at.get(name) ?? new Map()).get(name)
      at.set(names.at(-1), target)
    }
    const puts = (changes) => [...changes.values()].some((change) => change instanceof Map ? puts(change) : change !== null)
    const apply = (tree, changes) => {
      const entries = new Map(this.entries(tree))
      for (const [name, change] of changes) {
        if (change === null) entries.delete(name)
        else if (change instanceof Link) entries.set(name, change)
        else if (entries.has(name) && this.isTree(entries.get(name))) entries.set(name, apply(entries.get(name), change))
        else if (puts(change)) {
          must(!entries.has(name), 'a patch below what is no tree')
          entries.set(name, apply(this.tree(new Map()), change))
        }
      }
      return this.tree(entries)
    }
    return apply(tree, top)
  }
}

const WANTED = {
  any: ['raw', 'blob', 'tree', 'bigtree', 'patch', 'message', 'journal', 'bigmailbox', 'step', 'inner'],
  blob: ['raw', 'blob'],
  tree: ['tree', 'bigtree'],
  message: ['message'],
  mailbox: ['bigmailbox'],
  journal: ['journal'],
  step: ['step']
}

function linksIn (value) {
  if (value instanceof Link) return [value]
  if (value instanceof Map) return linksIn([...value.values()])
  return Array.isArray(value) ? value.flatMap(linksIn) : []
}
