;; The two loops of the decoder that are worth it, sixteen bytes at a time.
;; `npm run build:wasm` puts the assembled module into frame-kernel.ts.
(module
  ;; The chunk that `scan` reads and unmasks in place, of four pages of 64 KiB; a page for the table that it fills;
  ;; a page for the bytes of `unmask`, which so never disturbs a chunk.
  (memory (export "memory") 6)

  ;; XORs the bytes [at, end) with the key (RFC 6455 section 5.3), whose byte lowest in memory is for the first of them.
  ;; Returns 1 if one of the results is not ASCII, else 0.
  (func $unmask (export "unmask") (param $at i32) (param $end i32) (param $key i32) (result i32)
    (local $keys v128)
    (local $sixteen v128)
    (local $seen v128)
    (local $four i32)
    (local $seen_last i32)
    (local $last i32)
    (local.set $keys (i32x4.splat (local.get $key)))
    (local.set $last (i32.sub (local.get $end) (i32.const 16)))
    (block $done_16
      (loop $next_16
        (br_if $done_16 (i32.gt_s (local.get $at) (local.get $last)))
        (local.set $sixteen (v128.xor (v128.load align=1 (local.get $at)) (local.get $keys)))
        (v128.store align=1 (local.get $at) (local.get $sixteen))
        (local.set $seen (v128.or (local.get $seen) (local.get $sixteen)))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $next_16)))
    (local.set $last (i32.sub (local.get $end) (i32.const 4)))
    (block $done_4
      (loop $next_4
        (br_if $done_4 (i32.gt_s (local.get $at) (local.get $last)))
        (local.set $four (i32.xor (i32.load align=1 (local.get $at)) (local.get $key)))
        (i32.store align=1 (local.get $at) (local.get $four))
        (local.set $seen_last (i32.or (local.get $seen_last) (local.get $four)))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $next_4)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_s (local.get $at) (local.get $end)))
        (local.set $four (i32.xor (i32.load8_u (local.get $at)) (i32.and (local.get $key) (i32.const 0xff))))
        (i32.store8 (local.get $at) (local.get $four))
        (local.set $seen_last (i32.or (local.get $seen_last) (local.get $four)))
        (local.set $key (i32.shr_u (local.get $key) (i32.const 8)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (i32.or
      (i32.ne (i8x16.bitmask (local.get $seen)) (i32.const 0))
      (i32.ne (i32.and (local.get $seen_last) (i32.const 0x80808080)) (i32.const 0))))

  ;; Unmasks the frames (RFC 6455 section 5.2) in the bytes [at, end), up to the first that is anything but a whole,
  ;; unfragmented, uncompressed, masked text or binary message of at most `max` bytes (less than 64 KiB).
  ;; Returns how many there were, at most as many as the table has room for; an entry is two words:
  ;; the offset of the payload, and its length * 4 + (1 if binary) * 2 + (1 if not ASCII).
  (func (export "scan") (param $at i32) (param $end i32) (param $max i32) (result i32)
    (local $entry i32)
    (local $opcode i32)
    (local $length i32)
    (local $payload i32)
    (local.set $entry (i32.const 0x40000))
    (block $done
      (loop $next
        ;; Reading header bytes that have not arrived is harmless: the next check finds the frame to be incomplete.
        (br_if $done (i32.ge_s (i32.add (local.get $at) (i32.const 5)) (local.get $end)))
        ;; FIN without RSV bits, and the opcode of text (1) or binary (2)
        (local.set $opcode (i32.sub (i32.load8_u (local.get $at)) (i32.const 0x80)))
        (br_if $done (i32.gt_u (i32.sub (local.get $opcode) (i32.const 1)) (i32.const 1)))
        ;; an unmasked frame looks too long
        (local.set $length (i32.sub (i32.load8_u offset=1 (local.get $at)) (i32.const 0x80)))
        (local.set $payload (i32.add (local.get $at) (i32.const 6)))
        (if (i32.ge_u (local.get $length) (i32.const 126))
          (then
            (br_if $done (i32.ne (local.get $length) (i32.const 126)))
            (local.set $length (i32.or
              (i32.shl (i32.load8_u offset=2 (local.get $at)) (i32.const 8))
              (i32.load8_u offset=3 (local.get $at))))
            (br_if $done (i32.lt_u (local.get $length) (i32.const 126)))
            (local.set $payload (i32.add (local.get $at) (i32.const 8)))))
        (br_if $done (i32.gt_u (local.get $length) (local.get $max)))
        (br_if $done (i32.gt_u (i32.add (local.get $payload) (local.get $length)) (local.get $end)))
        (local.set $at (i32.add (local.get $payload) (local.get $length)))
        (i32.store (local.get $entry) (local.get $payload))
        (i32.store offset=4 (local.get $entry) (i32.or
          (i32.shl (local.get $length) (i32.const 2))
          (i32.or
            (i32.shl (i32.sub (local.get $opcode) (i32.const 1)) (i32.const 1))
            (call $unmask (local.get $payload) (local.get $at) (i32.load align=1 (i32.sub (local.get $payload) (i32.const 4)))))))
        (local.set $entry (i32.add (local.get $entry) (i32.const 8)))
        (br_if $next (i32.lt_u (local.get $entry) (i32.const 0x50000)))))
    (i32.shr_u (i32.sub (local.get $entry) (i32.const 0x40000)) (i32.const 3))))
