// Which tests fail if a promise is broken. guarantees.test.ts compares the table with that of docs/topics.md, and looks for the tests.

/** Titles of tests, or how they begin, by file. */
export type Covered = Readonly<Record<string, readonly string[]>>

const HERE = 'test/topics/guarantees.test.ts'
const RAW = 'test/topics/raw-topics.test.ts'
const CHAIN = 'test/topics/chain.test.ts'
const FEED = 'test/topics/history-feed.test.ts'
const MEMORY = 'test/topics/memory-broker.test.ts'
const PRESENCE = 'test/topics/presence.test.ts'
const DECLARED = 'test/declared-topics/processes.test.ts'
const POLICIES = 'test/declared-topics/policies.test.ts'
const SESSION = 'test/topics-protocol/session.test.ts'
const REQUESTS = 'test/topics-protocol/client-message.test.ts'
const RESUME = 'test/topics-protocol/resume.test.ts'
const LIMITS = 'test/topics-protocol/limits.test.ts'
const SNAPSHOT = 'test/topics-protocol/snapshot.test.ts'
const MEMBERS = 'test/topics-protocol/presence.test.ts'
const CLIENT = 'test/client/topics.test.ts'
// The tests of the contract run with each broker.
const HISTORIES = 'lib/broker-tests/histories.ts'
const MESSAGES = 'lib/broker-tests/messages.ts'
const NAMES = 'lib/broker-tests/topics.ts'
const OUTAGES = 'lib/broker-tests/faults.ts'
const REDIS = 'test/brokers/redis-faults.test.ts'
const REDIS_APP = 'test/brokers/redis-app.test.ts'
const SENTINEL = 'test/brokers/redis-sentinel.test.ts'
const NATS = 'test/brokers/nats-app.test.ts'

interface Columns {
  readonly 'without history': Covered
  readonly 'with history': Covered
}

/** By the rows of the table "What is promised". */
export const PROMISES: Readonly<Record<string, Columns>> = {
  'publish resolves when': {
    'without history': { [RAW]: ['publish resolves when the broker has taken the message, and not before; too late counts as failed', 'a message gets to all subscribers but its sender'] },
    'with history': {
      [HISTORIES]: ['positions increase, each names the one before, and publish returns them'],
      [DECLARED]: ['with history: one order on all processes, positions that increase, and a retry that is stored once'],
      [REDIS_APP]: ['a process that is killed while it publishes']
    }
  },
  'publish rejects when': {
    'without history': {
      [RAW]: ['a broker that does not take messages', 'publish resolves when the broker has taken the message, and not before; too late counts as failed'],
      [OUTAGES]: ['an engine that is away rejects at once, and goes on with its data when it is back']
    },
    'with history': {
      [RESUME]: ['a message that is published twice with one id is stored once, wherever'],
      [HISTORIES]: ['an id is stored and announced once, by whichever process', 'an id is remembered though its message is no longer kept', 'an id can be used again when its time is over'],
      [MEMORY]: ['ids are remembered for the history\'s seconds, and at most 5 minutes'],
      [REDIS]: ['frozen for longer than publishTimeout'],
      [NATS]: ['frozen for longer than publishTimeout']
    }
  },
  order: {
    'without history': { [MESSAGES]: ['all see the messages of one publisher in its order, published at a time too'], [RAW]: ['messages of topics and of send keep the order of the calls'] },
    'with history': {
      [HISTORIES]: ['all processes see one order, whoever publishes'],
      [DECLARED]: ['with history: one order on all processes, positions that increase, and a retry that is stored once'],
      [CHAIN]: ['messages in a wrong order are put right']
    }
  },
  'a subscriber whose process lives': {
    'without history': {
      [RAW]: ['subscribers are told about gaps, and the app about the broker'],
      [LIMITS]: ['a topic without history tells of a gap, and one with history when the broker has lost it'],
      [NAMES]: ['a topic that is subscribed to twice is delivered once'],
      [REDIS]: ['killed, and restarted with its data'],
      [NATS]: ['killed, and restarted with its data']
    },
    'with history': {
      [CHAIN]: ['whatever a broker does, each message comes once and in order, or lost says where some are missing'],
      [REDIS]: ['all connections killed, while messages are published', 'the connections that messages come through killed', 'restarted without its data'],
      [SNAPSHOT]: ['messages that are gone for ever'],
      [HERE]: ['a connection that the app has subscribed gets gap when messages of a history are gone']
    }
  },
  'a client of the protocol that comes back, to any process': {
    'without history': { [CLIENT]: ['without history: a gap, and no message twice'], [RESUME]: ['a position that is no longer kept, of another epoch, or of another message'] },
    'with history': {
      [RESUME]: ['a client resumes on another process, while its old connection still lives', 'a position that is no longer kept, of another epoch, or of another message',
        'messages that are published while a client joins come once and in order'],
      [FEED]: ['whatever happens, clients that move between processes get each message once and in order, or a notice'],
      [CLIENT]: ['nothing is lost, doubled or out of order, whatever happens to the lines']
    }
  },
  'a process is killed': {
    'without history': { [REDIS_APP]: ['a process that is killed while it publishes'] },
    'with history': {
      [REDIS_APP]: ['a process that is killed while it publishes', 'the clients of a process that is killed come back to another one, and miss nothing'],
      [REDIS]: ['an app that is killed while it publishes']
    }
  },
  'a client that reads too slowly': {
    'without history': { [RAW]: ['a slow reader is closed, and the others get everything'] },
    'with history': {
      [LIMITS]: ['a client that does not read is closed with 1013, and the others lose nothing'],
      [HERE]: ['a slow reader of a topic with history is closed with 1013, and resumes without a hole']
    }
  }
}

/** What can happen to an engine, and between it and the processes. */
export const FAULTS: Readonly<Record<string, Covered>> = {
  'killed and restarted with its data': { [REDIS]: ['killed, and restarted with its data'], [NATS]: ['killed, and restarted with its data'] },
  'killed and restarted without its data': { [REDIS]: ['restarted without its data'], [NATS]: ['restarted without its data'], [OUTAGES]: ['an engine that has lost its data begins another epoch'] },
  'frozen for longer than publishTimeout': { [REDIS]: ['frozen for longer than publishTimeout'], [NATS]: ['frozen for longer than publishTimeout'] },
  'cut off without a FIN': { [REDIS]: ['lines that die without a word, and slow ones, with '], [NATS]: ['a line to the server that dies without a word'] },
  slow: { [REDIS]: ['lines that die without a word, and slow ones, with '], [NATS]: ['a slow line to the server'] },
  'out of memory': { [REDIS]: ['out of memory'], [REDIS_APP]: ['Redis without memory, with '], [NATS]: ['a stream that takes nothing more'] },
  'a script flushed': { [REDIS]: ['its scripts flushed'] },
  'a fail-over': {
    [REDIS]: ['a fail-over to a replica, with ', 'a cluster that changes, with '],
    [REDIS_APP]: ['from a server that becomes a replica, and breaks no connection', 'that one of two connections takes part in'],
    [SENTINEL]: ['Sentinel fails over, with ']
  },
  'a fail-over that one of two connections takes part in': { [REDIS_APP]: ['that the connection for messages takes part in alone, while the old server takes writes'] },
  'a fail-over to a replica that lags': { [REDIS]: ['a fail-over to a replica, with '], [REDIS_APP]: ['to a replica that lags, and gets '] },
  'an app killed between the store and the announcement': { [REDIS_APP]: ['a process that is killed while it publishes'] },
  'clocks that differ by minutes': { [REDIS_APP]: ['processes whose clocks differ by minutes'], [REDIS]: ['clocks of processes do not count'] },
  'a client that resumes while its old connection lives': {
    [REDIS_APP]: ['a client that resumes while its old connection still lives on another process'],
    [RESUME]: ['a client resumes on another process, while its old connection still lives'],
    [PRESENCE]: ['a client that resumes while its old connection still lives has never left']
  }
}

export const SECURITY: Readonly<Record<string, Covered>> = {
  'who may subscribe': { [POLICIES]: ['clients subscribe to what is declared, and to nothing else', 'the app refuses by throwing, and what else it throws stays with it'], [SESSION]: ['the app decides'] },
  'who may publish': {
    [POLICIES]: ['clients publish only where the declaration says so', 'where no callback decides about messages, those publish who may subscribe', 'messages of clients are validated, as request bodies are'],
    [SESSION]: ['the app decides']
  },
  'nothing for those who may not': { [HERE]: ['a connection that was refused, has unsubscribed or is closing gets no message'] },
  wildcards: { [SESSION]: ['no name is a wildcard, and none gets at what is not declared'], [NAMES]: ['a subscription to a name with wildcards gets nothing else'] },
  'empty names, 256 bytes, control characters': { [REQUESTS]: ['names of topics'], [RAW]: ['wrong arguments are errors at once, and name what is accepted'], [NAMES]: ['every well-formed name up to 255 bytes is a topic of its own'] },
  'names of the broker\'s own keys': { [NAMES]: ['every well-formed name up to 255 bytes is a topic of its own'] },
  'limits of what a client makes the server hold': {
    [LIMITS]: ['the rate limit of the route counts the messages of the protocol', 'a connection has up to 128 topics by default, and a message names no more', 'a message longer than maxPayload closes the connection',
      'a client that asks faster than the app answers is held back', 'deeply nested messages are refused or published, and harm nobody'],
    [FEED]: ['made-up positions do not keep others from being served', 'messages in memory are bounded', 'large messages in memory are bounded']
  },
  'info of members is the app\'s': { [MEMBERS]: ['information about members is the app\'s alone'] }
}
