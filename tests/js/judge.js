// An independent judge of histories, written from docs/FORMAT.md alone: `node judge.js FILE.car…` prints a line of JSON for
// each file; `node judge.js -` reads lines, each a file in base64, and answers each with such a line.
// It runs no code. What a wit made of its messages it takes as recorded, and says so with INTACT; what the runtime does by
// itself (patches, refusals, errors to senders) it computes again, but for `--integrity-only`.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { MIB, Missing, Refused, engineOf, hexDigest, isOutside, Link, must, parseId, encode, name as checkName } from './objects.js'
import { Objects, readCar } from './store.js'

// Section 10, "A core and what runs it". Only what a core needs is read.
class Core {
  constructor (objects, link) {
    must(objects.isTree(link), 'a core that is no tree')
    this.objects = objects
    this.entries = objects.entries(link)
  }

  text (name) {
    const bytes = this.objects.bytes(this.entries.get(name))
    must(bytes.length <= MIB, `/${name} is too large`)
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    } catch {
      throw new Refused(`/${name} is not UTF-8`)
    }
  }

  get engine () { return this.entries.has('runtime') ? this.text('runtime').trim() : 'python' }
  get policy () { return this.entries.has('policy') ? JSON.parse(this.text('policy')) : {} }

  validate () {
    must(this.entries.has('wit'), 'a core without /wit')
    for (const name of ['wit', 'runtime', 'policy']) if (this.entries.has(name)) this.text(name)
    return this
  }

  // The link of the component, or nothing where there is none.
  component () {
    if (this.engine !== 'wasm' || !this.entries.has('wit')) return undefined
    const found = /^\/([^:]+):([^:/]+):handle$/.exec(this.text('wit').trim())
    if (!found) return undefined
    const way = `${found[1]}/${found[2]}.wasm`.split('/')
    let at = this.entries
    for (const name of way.slice(0, -1)) {
      if (!at.has(name) || !this.objects.isTree(at.get(name))) return undefined
      at = this.objects.entries(at.get(name))
    }
    return at.get(way.at(-1))
  }
}

// What a look at something gives, or nothing where it breaks a rule. What is not there still is not there.
const unless = (look) => {
  try {
    return look()
  } catch (error) {
    if (error instanceof Refused) return undefined
    throw error
  }
}

// The parts that an engine's text may have. What an ABI has that is not listed is not known; of a later ABI than the first,
// nor is a part that is not listed here.
const SOURCE = /^([0-9a-f]{64}|none)$/
const VERSION = /^(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})$/
const PARTS = {
  'kernel/1': {},
  'python/1': { source: SOURCE },
  'python/2': { optimize: /^[12]$/, python: VERSION, room: /^1000$/ },
  'wasm/1': { config: /^[0-9a-f]{16}$/ }
}

// The configurations that there were, as engines.json of the vectors lists them.
const CONFIGURATIONS = ['735c3e3b150f1f98', '846427c78be52893']

class Wrong extends Error {
  constructor (cause, reason) {
    super(reason)
    this.cause = cause
  }
}
const rule = (condition, cause, reason) => { if (!condition) throw new Wrong(cause, reason) }

const isGenesis = (message) => message.get('content').text === message.get('to')
const keyOf = (party, message) => (message.has('lane') ? `${message.get('lane')}/` : '') + party
const same = (a, b) => a instanceof Link ? b instanceof Link && a.text === b.text : encode(a).equals(encode(b))

// Section 15: what a message from the clock says of its timer, or nothing.
function ringOf (message) {
  const headers = message.get('headers')
  if (!headers?.has('timer') || message.has('lane') || !/^out\/[^/]+\/clock$/.test(message.get('from'))) return undefined
  const number = /^(0|[1-9][0-9]{0,17})$/
  const [name, file, due] = ['timer', 'timer-file', 'timer-due'].map((key) => headers.get(key))
  const known = file !== undefined && unless(() => { checkName(name); return parseId(file) })
  if (!known || !number.test(due) || !number.test(headers.get('timer-missed') ?? '0')) return undefined
  if ((headers.get('timer-last') ?? 'true') !== 'true') return undefined
  return { name, file, due: BigInt(due), isLast: headers.has('timer-last') }
}

// One step against the one before it. `others` are the histories of the file by their actor, `own` what this one sent before.
class StepCheck {
  constructor (objects, step, before, beforeId) {
    this.objects = objects
    this.data = step.get('data')
    this.before = before?.get('data')
    this.beforeId = beforeId
    this.actor = this.data.get('actor').text
    this.core = this.before?.get('core') ?? this.data.get('actor')
    this.consumed = this.data.get('consumed')
    this.sent = this.data.get('sent')
    this.outcome = this.data.get('outcome')
  }

  // The message from the clock that the step consumed, and whether its timer is there.
  get ring () { return this.before && ringOf(this.messages(this.consumed)[0][1]) }

  timerIsThere ({ name, file }) {
    const below = (link, key) => link && this.objects.isTree(link) ? this.objects.entries(link).get(key) : undefined
    return below(below(this.core, 'timers'), name)?.text === file
  }

  // The core after a step that did not succeed: the one before it, without a timer that rang for the last time.
  unchanged () {
    const { ring } = this
    if (!ring?.isLast || !this.timerIsThere(ring)) return this.core
    return this.objects.patched(this.core, new Map([[`timers/${ring.name}`, null]]))
  }

  chain () {
    const { data, before } = this
    if (!before) return
    rule(same(data.get('actor'), before.get('actor')), 'integrity', 'another actor than the parent has')
    rule(data.get('height') === before.get('height') + 1n, 'integrity', 'a height that is not the parent\'s and one')
    rule(data.get('time') >= before.get('time'), 'integrity', 'a time before the parent\'s')
    rule(!this.ring || data.get('time') >= this.ring.due, 'integrity', 'a time before the timer is due')
  }

  journal () {
    if (!this.data.has('journal')) return
    const free = ['NoCapability', 'BadRequest', 'NoSuchActor', 'Ambiguous', 'QueryTimeout']
    for (const entry of this.objects.node(this.data.get('journal'), 'journal')) {
      const isQuery = entry.get('path').startsWith('query/')
      rule(!isQuery || entry.has('step') || free.includes(entry.get('error').get('code')), 'journal', 'an error that no step gave')
    }
  }

  messages (links) { return links.map((link) => [link, this.objects.node(link, 'message')]) }

  inbox (sentBefore) {
    const messages = this.messages(this.consumed)
    const first = messages[0][1]
    const isAlone = messages.length === 1
    rule(isAlone || !messages.some(([, message]) => isGenesis(message) || message.get('lane') === 'update' || ringOf(message)), 'order', 'a genesis, an update or a timer that is not alone')
    rule(this.before || isGenesis(first), 'order', 'a first message that is no genesis')
    const inbox = new Map(this.before ? this.objects.mailbox(this.before.get('inbox')) : [])
    for (const [link, message] of messages) {
      rule(message.get('to') === this.actor, 'order', 'a message to another actor')
      const key = keyOf(message.get('from'), message)
      const [seq, last] = inbox.get(key) ?? [0n, undefined]
      const skips = message.get('lane') === 'signal' && message.get('seq') > seq + 1n
      rule(skips || (message.get('seq') === seq + 1n && message.get('previous') === last?.text), 'order', 'a message that is not the next of its lane')
      if (message.get('from') === this.actor) rule(sentBefore.has(link.text), 'unsent', 'a message to itself that was not sent before')
      inbox.set(key, [message.get('seq'), link])
    }
    this.moved('inbox', inbox)
  }

  outbox () {
    const outbox = new Map(this.before ? this.objects.mailbox(this.before.get('outbox')) : [])
    for (const [link, message] of this.messages(this.sent)) {
      const key = keyOf(message.get('to'), message)
      const [seq, last] = outbox.get(key) ?? [0n, undefined]
      rule(message.get('from') === this.actor && message.get('after') === this.beforeId, 'order', 'a sent message of another sender or step')
      rule(message.get('seq') === seq + 1n && message.get('previous') === last?.text, 'order', 'a sent message that is not the next of its lane')
      outbox.set(key, [message.get('seq'), link])
    }
    this.moved('outbox', outbox)
  }

  moved (field, expected) {
    const found = this.objects.mailbox(this.data.get(field))
    rule(found.size === expected.size && [...expected].every(([key, cursor]) => found.has(key) && same(found.get(key), cursor)), 'order', `an ${field} that does not follow from the messages`)
  }

  closure (id) {
    if (!this.before) this.objects.check(this.data.get('actor'), this.outcome ? 'any' : 'tree')
    this.objects.check(id, 'step')
  }

  update () {
    const [[, message]] = this.messages(this.consumed)
    return message.get('lane') === 'update' && !this.ordered(message) ? message : undefined
  }

  // "Retries": the id of the step that a message orders to retry, or nothing.
  ordered (message) {
    const content = message.get('content')
    if (message.get('lane') !== 'update' || !content.isRaw) return undefined
    const text = Buffer.from(this.objects.bytes(content)).toString('latin1')
    const id = unless(() => parseId(text))
    return id && !id.isRaw ? text : undefined
  }

  // Why an order has to be refused, or nothing. `steps` are those before this one, the genesis first.
  whyNot (message, steps) {
    if (!this.mayUpdate(message)) return 'NotPermitted'
    const named = steps.slice(-65536).find(({ id }) => id.text === this.ordered(message))
    if (!named) return 'NotThatStep'
    const data = named.step.get('data')
    const [[, first]] = this.messages(data.get('consumed'))
    const failed = data.has('outcome') && data.get('outcome').get('kind') !== 'noop'
    if (!failed || data.get('height') === 0n || first.get('lane') === 'update') return 'NothingToRetry'
    return this.mark(this.core, named.id.text) ? 'AlreadyRetried' : undefined
  }

  mark (core, step) {
    const retried = this.objects.entries(core).get('retried')
    return retried && this.objects.isTree(retried) ? this.objects.entries(retried).get(step) : undefined
  }

  retry (steps) {
    const [[link, message]] = this.messages(this.consumed)
    const named = this.ordered(message)
    if (!named || !this.before) return
    const refused = this.whyNot(message, steps)
    const isRefused = this.outcome?.get('kind') === 'refused' && engineOf(this.data.get('engine')).name === 'kernel'
    if (this.outcome?.get('kind') === 'cut') return
    rule(isRefused ? refused === this.outcome.get('code') : !refused, 'output', 'an order that had to be refused, or not to be')
    if (this.outcome) return
    const mark = this.mark(this.data.get('core'), named)
    const text = mark && unless(() => Buffer.from(this.objects.bytes(mark)).toString('latin1'))
    rule(text === link.text, 'output', 'a retry that its core does not say')
  }

  isLateGenesis () { return this.before && isGenesis(this.messages(this.consumed)[0][1]) }

  // The core after a patch, or nothing where it does not fit or leaves no valid core.
  patched (message) {
    return unless(() => {
      const tree = this.objects.patched(this.core, this.objects.node(message.get('content'), 'patch'))
      this.objects.depth(tree)
      new Core(this.objects, tree).validate()
      return tree
    })
  }

  // "Engine text": what ran can have run. What an update ran depends on the patched core, so it is computed with that.
  engine () {
    const { name, abi, parts } = engineOf(this.data.get('engine'))
    const known = PARTS[`${name}/${abi}`]
    rule(known || abi !== '0' || !PARTS[`${name}/1`], 'engine', 'an ABI that there never was')
    for (const [key, value] of known ? parts : []) {
      const isFalse = known[key] ? !known[key].test(value) : abi === '1'
      rule(!isFalse, 'engine', `an engine text with the part ${key}=${value}`)
    }
    rule(name !== 'wasm' || abi !== '1' || parts.has('config'), 'engine', 'a component without a configuration')
    this.unknown = !known || [...parts].some(([key, value]) => !known[key] && !(key === 'source' && SOURCE.test(value)))
    if (name === 'wasm') this.unknown ||= !CONFIGURATIONS.includes(parts.get('config'))
    if (this.update()) return
    if (name === 'kernel') {
      rule(this.outcome, 'engine', 'a step that needed an engine')
      return
    }
    rule(!this.isLateGenesis(), 'engine', 'an engine for a genesis of an actor that lives')
    const runtime = unless(() => new Core(this.objects, this.core).engine)
    rule(runtime === name, 'engine', 'another engine than the core names')
  }

  componentHash () {
    const found = this.data.get('component-hash')
    const isNew = !this.before || this.update()
    const of = (link) => unless(() => new Core(this.objects, link).component())
    const now = isNew ? of(this.data.get('core')) : undefined
    const old = this.before && of(this.core)
    const expected = now && !(old && same(old, now)) ? hexDigest(this.objects.bytes(now)) : undefined
    rule(found === expected || (!found && this.outcome && isNew), 'integrity', 'a component-hash that is not that of the component')
  }

  // What the runtime does by itself, computed again.
  output () {
    const { data, outcome } = this
    const kind = outcome?.get('kind')
    const { ring } = this
    const nothing = this.isLateGenesis() ? 'AlreadyAlive' : ring && !this.timerIsThere(ring) ? 'TimerGone' : undefined
    rule((kind === 'noop') === Boolean(nothing), 'output', 'a noop that had something to do, or the other way round')
    rule(kind !== 'noop' || outcome.get('code') === nothing, 'output', 'a noop of another code')
    if (outcome) {
      rule(same(data.get('core'), this.unchanged()), 'output', 'a core that moved although the step did not succeed')
      this.errorSent(kind)
      if (kind !== 'cut') this.refusal(kind)
      return
    }
    rule(unless(() => new Core(this.objects, this.core).validate()), 'output', 'a core that is not valid and ran')
    const update = this.update()
    if (!update) return
    const after = this.patched(update)
    rule(after && this.mayUpdate(update), 'output', 'an update that had to be refused')
    const core = new Core(this.objects, after)
    const runs = core.entries.has('wit_update') || core.engine === 'wasm' ? core.engine : 'kernel'
    rule(engineOf(data.get('engine')).name === runs, 'output', 'another engine than the patched core needs')
    if (runs === 'kernel') rule(same(data.get('core'), after), 'output', 'a core that the patch does not give')
  }

  // An update that did not go well: the runtime refuses some by itself, and a patch alone can't fail.
  refusal (kind) {
    const update = this.update()
    if (!update) return
    const { name } = engineOf(this.data.get('engine'))
    const after = unless(() => this.mayUpdate(update)) && this.patched(update)
    rule(after || (kind === 'refused' && name === 'kernel'), 'output', 'an update that had to be refused by the runtime')
    if (!after) return
    const core = new Core(this.objects, after)
    rule(core.entries.has('wit_update') || core.engine === 'wasm', 'output', 'an update that had to be taken')
  }

  errorSent (kind) {
    const [[link, message]] = this.messages(this.consumed)
    const isTold = kind !== 'noop' && !isOutside(message.get('from')) && message.get('type') !== 'error'
    rule(this.sent.length <= (isTold ? 1 : 0), 'output', 'a message that a failed step does not send')
    if (this.sent.length === 0) return
    const error = this.objects.node(this.sent[0], 'message')
    rule(error.get('to') === message.get('from') && error.get('type') === 'error' && error.get('re') === link.text, 'output', 'no error to the sender')
  }

  mayUpdate (message) {
    const from = message.get('from')
    const allowed = new Core(this.objects, this.core).policy.update ?? []
    const isOperator = /^out\/[^/]+\/operator$/.test(from) && !isOutside(this.creator)
    return from === this.creator || allowed.includes(from) || isOperator || (from === this.actor && allowed.includes('self'))
  }
}

// The chain of a head, from its beginning. What is not there, or is no step, ends it.
function chainOf (objects, head) {
  const steps = []
  for (let id = head; id !== null; id = steps[0].step.get('parent')) {
    try {
      steps.unshift({ id, step: objects.node(id, 'step') })
    } catch (error) {
      return { steps, lost: error }
    }
  }
  return { steps }
}

function judgeStep (objects, history, place, sentBefore, integrityOnly) {
  const { id, step } = history.steps[place]
  const before = history.steps[place - 1]
  const check = new StepCheck(objects, step, before?.step, before?.id.text)
  const genesis = history.steps[0].step.get('data').get('consumed')[0]
  check.chain()
  check.journal()
  check.inbox(sentBefore)
  check.outbox()
  check.closure(id)
  check.engine()
  check.componentHash()
  if (integrityOnly) return
  const isCut = check.outcome?.get('kind') === 'cut'
  // Nothing runs for a step that was cut, so no engine is needed. Of any other one nothing is compared without its engine.
  if (check.unknown && !isCut) return { verdict: 'UNVERIFIABLE', cause: 'engine' }
  check.creator = objects.node(genesis, 'message').get('from')
  check.output()
  check.retry(history.steps.slice(0, place))
  if (isCut) return { verdict: 'UNVERIFIABLE', cause: 'cut' }
}

// Section 14: messages between the histories of one file. What one consumed, the other must have sent; only who is not
// wrong itself may deny.
function unsent (objects, history, others) {
  for (const [height, { step }] of history.steps.entries()) {
    for (const link of step.get('data').get('consumed')) {
      const message = objects.node(link, 'message')
      const other = others.get(message.get('from'))
      if (other && other !== history && denies(objects, other, link, message)) {
        return { verdict: 'MISMATCH', cause: 'unsent', height, reason: `${other.steps[0].id} did not send ${link}` }
      }
    }
  }
}

function denies (objects, history, link, message) {
  const { height, outbox, actor } = Object.fromEntries(history.steps.at(-1).step.get('data'))
  let [seq, last] = objects.mailbox(outbox).get(keyOf(message.get('to'), message)) ?? [0n]
  if (seq >= message.get('seq')) {
    for (; seq > message.get('seq'); seq--) last = parseId(objects.node(last, 'message').get('previous'))
    return last.text !== link.text
  }
  if (!message.has('after')) return true
  const before = objects.blocks.get(message.get('after'))
  if (before?.kind !== 'step') return false
  const data = before.value.get('data')
  return !same(data.get('actor'), actor) || height > data.get('height')
}

function found (error) {
  if (error instanceof Missing) return { verdict: 'UNVERIFIABLE', cause: 'missing', reason: `${error.message} is not there` }
  if (error instanceof Wrong) return { verdict: 'MISMATCH', cause: error.cause, reason: error.message }
  if (error instanceof Refused) return { verdict: 'MISMATCH', cause: 'integrity', reason: error.message }
  throw error
}

// The worst thing about one history: a MISMATCH before what is UNVERIFIABLE, then the lower step. Its height is the place
// in the chain, whatever the step says of itself; where the beginning is not there, the lowest step is believed.
function judgeHistory (objects, history, integrityOnly) {
  const { steps, lost } = history
  const lowest = lost ? Number(steps[0].step.get('data').get('height')) : 0
  const problems = lost ? [{ ...found(lost), height: lowest - 1 }] : []
  const sentBefore = new Set()
  steps.forEach(({ step }, place) => {
    try {
      if (place > 0 || !lost) {
        const problem = judgeStep(objects, history, place, sentBefore, integrityOnly)
        if (problem) problems.push({ ...problem, height: lowest + place })
      }
    } catch (error) {
      problems.push({ ...found(error), height: lowest + place })
    }
    for (const sent of step.get('data').get('sent')) sentBefore.add(sent.text)
  })
  return problems.find(({ verdict }) => verdict === 'MISMATCH') ?? problems[0] ?? { verdict: 'INTACT' }
}

export function judge (bytes, { integrityOnly = false } = {}) {
  let car
  try {
    car = readCar(bytes)
  } catch (error) {
    return [found(error)]
  }
  const objects = new Objects(car.blocks)
  const judged = [...car.roots].map(([head, root]) => {
    const kind = car.blocks.get(head)?.kind
    if (kind !== 'step') return { head, verdict: 'UNVERIFIABLE', cause: kind ? 'integrity' : 'missing' }
    const history = chainOf(objects, root)
    return { head, history, ...judgeHistory(objects, history, integrityOnly) }
  })
  const sound = judged.filter(({ verdict }) => verdict === 'INTACT')
  const others = new Map(sound.map(({ history }) => [history.steps[0].step.get('data').get('actor').text, history]))
  return judged.map(({ history, ...verdict }) => {
    return { ...verdict, ...(verdict.verdict === 'INTACT' ? unsent(objects, history, others) : undefined) }
  })
}

async function main (words) {
  const integrityOnly = words.includes('--integrity-only')
  const say = (bytes) => console.log(JSON.stringify(judge(bytes, { integrityOnly })))
  for (const file of words.filter((word) => word !== '--integrity-only')) {
    if (file === '-') for await (const line of createInterface({ input: process.stdin })) say(Buffer.from(line, 'base64'))
    else say(readFileSync(file))
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main(process.argv.slice(2))
