import { isWanted } from '../optimizations.js'

// frame-kernel.wat, assembled by `npm run build:wasm`: less than 600 bytes.
const MODULE = 'AGFzbQEAAAABCAFgA39/fwF/AwMCAAAFAwEABgcaAwZtZW1vcnkCAAZ1bm1hc2sAAARzY2FuAAEKmAMCxwECA3sDfyAC/REhAyABQRBrIQgCQANAIAAgCEoNASAA/QAAACAD/VEhBCAAIAT9CwAAIAUgBP1QIQUgAEEQaiEADAALCyABQQRrIQgCQANAIAAgCEoNASAAKAAAIAJzIQYgACAGNgAAIAcgBnIhByAAQQRqIQAMAAsLAkADQCAAIAFODQEgAC0AACACQf8BcXMhBiAAIAY6AAAgByAGciEHIAJBCHYhAiAAQQFqIQAMAAsLIAX9ZEEARyAHQYCBgoR4cUEAR3ILzAEBBH9BgIAQIQMCQANAIABBBWogAU4NASAALQAAQYABayEEIARBAWtBAUsNASAALQABQYABayEFIABBBmohBiAFQf4ATwRAIAVB/gBHDQIgAC0AAkEIdCAALQADciEFIAVB/gBJDQIgAEEIaiEGCyAFIAJLDQEgBiAFaiABSw0BIAYgBWohACADIAY2AgAgAyAFQQJ0IARBAWtBAXQgBiAAIAZBBGsoAAAQAHJyNgIEIANBCGohAyADQYCAFEkNAAsLIANBgIAQa0EDdgs='

interface KernelExports {
  memory: { buffer: ArrayBuffer }
  unmask (at: number, end: number, key: number): number
  scan (at: number, end: number, max: number): number
}

/** Bytes of two parts of its memory: the table, and the scratch memory. */
export const KERNEL_PAGE = 0x10000

/**
 * Bytes of the first part, the chunk. Four pages are as much as a message may take in advance for the first of them
 * (see `MessageAssembler`): 1 MiB is received without moving what came before.
 */
export const CHUNK_SIZE = 4 * KERNEL_PAGE

/** The WebAssembly of the decoder, with its memory: one for all decoders of this thread. */
export interface FrameKernel {
  /** The chunk for `scan`, and where its frames are unmasked. */
  readonly chunk: Buffer
  /** The result of `scan`: for each frame the offset of the payload, and its length * 4 + (1 if binary) * 2 + (1 if not ASCII). */
  readonly table: Int32Array
  /** Scratch memory: bytes from elsewhere are copied here to be unmasked. */
  readonly bytes: Buffer
  /** Unmasks bytes of `chunk`, in place. */
  unmaskChunk (start: number, end: number, key: number): void
  /** Unmasks the first `length` bytes of `bytes`, in place. */
  unmaskBytes (length: number, key: number): void
  /**
   * Unmasks whole, uncompressed data messages of one frame and at most `max` bytes (less than 64 KiB) in the range of `chunk`,
   * up to the first frame that is anything else. @returns how many
   */
  readonly scan: (at: number, end: number, max: number) => number
}

/** `null` where there is no WebAssembly with SIMD (`node --jitless`), or the machine is big-endian. */
export const kernel: FrameKernel | null = isWanted('simd') && isLittleEndian() ? instantiate() : null

function isLittleEndian (): boolean {
  return new Uint8Array(Uint16Array.of(1).buffer)[0] === 1
}

function instantiate (): FrameKernel | null {
  try {
    const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyApi }
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(MODULE, 'base64')))
    const { memory: { buffer }, unmask, scan } = exports as KernelExports
    const at = CHUNK_SIZE + KERNEL_PAGE
    return {
      chunk: Buffer.from(buffer, 0, CHUNK_SIZE),
      table: new Int32Array(buffer, CHUNK_SIZE, KERNEL_PAGE / 4),
      bytes: Buffer.from(buffer, at, KERNEL_PAGE),
      unmaskChunk: unmask,
      unmaskBytes: (length, key) => { unmask(at, at + length, key) },
      scan
    }
  } catch {
    return null
  }
}

/** The part of WebAssembly's types that is used here: Node's types leave it to those of the DOM. */
interface WebAssemblyApi {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object) => { exports: unknown }
}
