import type { Broker } from '../../types/broker.js'

/** How the contract suite gets at a broker, and at its engine. Tests whose hooks are missing are left out. */
export interface BrokerContractOptions {
  /** Creates one more broker for the same engine, as another process has it. The suite starts and closes it. */
  create (): Broker | Promise<Broker>
  /** Creates a broker whose engine cannot be reached: its `start` has to reject. */
  createUnreachable? (): Broker | Promise<Broker>
  /** Breaks all connections of brokers to the engine, which goes on. They reconnect by themselves. */
  interrupt? (): Promise<void>
  /** Ends the engine. */
  stop? (): Promise<void>
  /** Starts the engine again, with its data. Required with `stop`. */
  restart? (): Promise<void>
  /** Makes the engine lose its data, by a restart or not, and resolves when it can be reached. */
  wipe? (): Promise<void>
  /** Lets time pass for the engine. Default: waits. */
  sleep? (milliseconds: number): Promise<void>
  /** Milliseconds in which everything that is to happen has to happen. Default 10,000. */
  patience?: number
  /** Milliseconds of a lease that ends during a test. Default 1,000. */
  lease?: number
}

/** One test of the suite. */
export interface BrokerTest {
  /** The group, and what holds: `reads: …`. */
  readonly name: string
  /** Rejects if the broker does not pass. */
  run (): Promise<void>
}
