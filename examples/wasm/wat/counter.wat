;; A counter, written by hand. Its state is {"count": n}; the message {"add": 2} adds to it, and
;; {"add": 2, "tell": ACTOR} sends the new count to another actor too.
(component
  (import "ntwk:simple-actor/runtime" (instance $runtime
    (export "log" (func (param "msg" string)))
    (export "send" (func (param "actor-id" string) (param "msg" (list u8))))))

  ;; The memory is a module of its own, so that `log` and `send`, which read it, can be made before the actor.
  (core module $store
    (memory (export "memory") 1))

  (core module $counter
    (import "store" "memory" (memory 1))
    (import "runtime" "log" (func $log (param $at i32) (param $size i32)))
    (import "runtime" "send"
      (func $send (param $id i32) (param $id_size i32) (param $message i32) (param $message_size i32)))

    (data (i32.const 0) "add")
    (data (i32.const 4) "tell")
    (data (i32.const 8) "count")
    (data (i32.const 16) "{\"count\":")
    (data (i32.const 32) "added ")
    (data (i32.const 48) ", the count is ")
    ;; 64: address and size of a result. 128: the text of a state. 256: a line for the log. 1024: what comes in.
    (global $top (mut i32) (i32.const 1024))

    ;; Where the host may put `size` bytes. They are never given back: each call runs in a fresh instance.
    (func (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
      (local $start i32) (local $held i32)
      (local.set $start (global.get $top))
      (local.set $held (i32.shl (memory.size) (i32.const 16)))
      (global.set $top (i32.add (local.get $start) (local.get $size)))
      (if (i32.lt_u (global.get $top) (local.get $start)) (then unreachable))
      (if (i32.gt_u (global.get $top) (local.get $held)) (then
        (if (i32.eq (i32.const -1) (memory.grow (i32.shr_u
              (i32.add (i32.sub (global.get $top) (local.get $held)) (i32.const 65535)) (i32.const 16))))
          (then unreachable))))
      (local.get $start))

    ;; The byte at an address; 0 at the end of the text.
    (func $byte (param $at i32) (param $end i32) (result i32)
      (if (result i32) (i32.lt_u (local.get $at) (local.get $end))
        (then (i32.load8_u (local.get $at)))
        (else (i32.const 0))))

    ;; In JSON, what is not above a blank and stands outside a text is white space.
    (func $is_space (param $byte i32) (result i32)
      (i32.lt_u (i32.sub (local.get $byte) (i32.const 1)) (i32.const 0x20)))

    (func $skip_space (param $at i32) (param $end i32) (result i32)
      (loop $on
        (if (call $is_space (call $byte (local.get $at) (local.get $end))) (then
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $on))))
      (local.get $at))

    ;; The closing quote of the text whose first character is at $at.
    (func $end_of_text (param $at i32) (param $end i32) (result i32)
      (local $byte i32)
      (loop $on
        (local.set $byte (call $byte (local.get $at) (local.get $end)))
        (if (i32.and (i32.ne (local.get $byte) (i32.const 0x22)) (i32.lt_u (local.get $at) (local.get $end))) (then
          (local.set $at (i32.add (local.get $at)
            (select (i32.const 2) (i32.const 1) (i32.eq (local.get $byte) (i32.const 0x5c)))))
          (br $on))))
      (select (local.get $at) (local.get $end) (i32.lt_u (local.get $at) (local.get $end))))

    (func $equals (param $at i32) (param $other i32) (param $size i32) (result i32)
      (loop $on
        (if (i32.eqz (local.get $size)) (then (return (i32.const 1))))
        (local.set $size (i32.sub (local.get $size) (i32.const 1)))
        (br_if $on (i32.eq
          (i32.load8_u (i32.add (local.get $at) (local.get $size)))
          (i32.load8_u (i32.add (local.get $other) (local.get $size))))))
      (i32.const 0))

    ;; Where the value of a field of a JSON object begins; 0 without the field.
    (func $find (param $at i32) (param $end i32) (param $name i32) (param $name_size i32) (result i32)
      (local $byte i32) (local $depth i32) (local $at_key i32) (local $start i32)
      (local.set $at (call $skip_space (local.get $at) (local.get $end)))
      (if (i32.ne (call $byte (local.get $at) (local.get $end)) (i32.const 0x7b)) (then (return (i32.const 0))))
      (loop $on
        (local.set $byte (call $byte (local.get $at) (local.get $end)))
        (if (i32.eq (local.get $byte) (i32.const 0x22)) (then
          (local.set $start (i32.add (local.get $at) (i32.const 1)))
          (local.set $at (call $end_of_text (local.get $start) (local.get $end)))
          (if (i32.and (i32.eq (local.get $depth) (i32.const 1)) (local.get $at_key)) (then
            (if (i32.eq (i32.sub (local.get $at) (local.get $start)) (local.get $name_size)) (then
              (if (call $equals (local.get $start) (local.get $name) (local.get $name_size)) (then
                (local.set $at (call $skip_space (i32.add (local.get $at) (i32.const 1)) (local.get $end)))
                (if (i32.ne (call $byte (local.get $at) (local.get $end)) (i32.const 0x3a)) (then
                  (return (i32.const 0))))
                (return (call $skip_space (i32.add (local.get $at) (i32.const 1)) (local.get $end)))))))))
          (local.set $at_key (i32.const 0))))
        ;; { and [ differ in one bit, as } and ] do.
        (if (i32.eq (i32.and (local.get $byte) (i32.const 0xdf)) (i32.const 0x5b)) (then
          (local.set $depth (i32.add (local.get $depth) (i32.const 1)))
          (local.set $at_key (i32.eq (local.get $byte) (i32.const 0x7b)))))
        (if (i32.eq (i32.and (local.get $byte) (i32.const 0xdf)) (i32.const 0x5d)) (then
          (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))))
        (if (i32.eq (local.get $byte) (i32.const 0x2c)) (then (local.set $at_key (i32.const 1))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br_if $on (i32.lt_u (local.get $at) (local.get $end))))
      (i32.const 0))

    ;; The integer at $at, and 1; or 0 and 0 if there is none, or one that not every reader of JSON keeps exactly.
    (func $integer (param $at i32) (param $end i32) (result i64 i32)
      (local $number i64) (local $negative i32) (local $first i32) (local $byte i32)
      (if (i32.eqz (local.get $at)) (then (return (i64.const 0) (i32.const 0))))
      (local.set $negative (i32.eq (call $byte (local.get $at) (local.get $end)) (i32.const 0x2d)))
      (local.set $at (i32.add (local.get $at) (local.get $negative)))
      (local.set $first (local.get $at))
      (loop $on
        (local.set $byte (call $byte (local.get $at) (local.get $end)))
        (if (i32.lt_u (i32.sub (local.get $byte) (i32.const 0x30)) (i32.const 10)) (then
          (local.set $number (i64.add
            (i64.mul (local.get $number) (i64.const 10))
            (i64.extend_i32_u (i32.sub (local.get $byte) (i32.const 0x30)))))
          (if (i64.gt_u (local.get $number) (i64.const 9007199254740991)) (then
            (return (i64.const 0) (i32.const 0))))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $on))))
      (if (i32.eq (local.get $at) (local.get $first)) (then (return (i64.const 0) (i32.const 0))))
      ;; After it comes white space, a comma or the end of the object.
      (if (i32.eqz (i32.or (call $is_space (local.get $byte))
            (i32.or (i32.eq (local.get $byte) (i32.const 0x2c)) (i32.eq (local.get $byte) (i32.const 0x7d))))) (then
        (return (i64.const 0) (i32.const 0))))
      (select (i64.sub (i64.const 0) (local.get $number)) (local.get $number) (local.get $negative))
      (i32.const 1))

    ;; The closing quote of the text that begins with a quote at $at; 0 if it is no text, or has a backslash.
    (func $plain_text (param $at i32) (param $end i32) (result i32)
      (local $byte i32)
      (if (i32.ne (call $byte (local.get $at) (local.get $end)) (i32.const 0x22)) (then (return (i32.const 0))))
      (loop $on
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $byte (call $byte (local.get $at) (local.get $end)))
        (if (i32.eq (local.get $byte) (i32.const 0x22)) (then (return (local.get $at))))
        (br_if $on (i32.and (i32.ne (local.get $byte) (i32.const 0x5c)) (i32.ne (local.get $byte) (i32.const 0)))))
      (i32.const 0))

    (func $write (param $at i32) (param $text i32) (param $size i32) (result i32)
      (memory.copy (local.get $at) (local.get $text) (local.get $size))
      (i32.add (local.get $at) (local.get $size)))

    (func $write_digits (param $at i32) (param $number i64) (result i32)
      (if (i64.ge_u (local.get $number) (i64.const 10)) (then
        (local.set $at (call $write_digits (local.get $at) (i64.div_u (local.get $number) (i64.const 10))))))
      (i64.store8 (local.get $at) (i64.add (i64.const 0x30) (i64.rem_u (local.get $number) (i64.const 10))))
      (i32.add (local.get $at) (i32.const 1)))

    (func $write_number (param $at i32) (param $number i64) (result i32)
      (if (i64.lt_s (local.get $number) (i64.const 0)) (then
        (i32.store8 (local.get $at) (i32.const 0x2d))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $number (i64.sub (i64.const 0) (local.get $number)))))
      (call $write_digits (local.get $at) (local.get $number)))

    ;; Writes a state, and gives the address of its address and size, which is how a list is returned.
    (func $state_of (param $count i64) (result i32)
      (local $end i32)
      (local.set $end (call $write_number (call $write (i32.const 128) (i32.const 16) (i32.const 9)) (local.get $count)))
      (i32.store8 (local.get $end) (i32.const 0x7d))
      (i32.store (i32.const 64) (i32.const 128))
      (i32.store (i32.const 68) (i32.sub (local.get $end) (i32.const 127)))
      (i32.const 64))

    (func $count (param $state i32) (param $state_end i32) (result i64 i32)
      (call $integer
        (call $find (local.get $state) (local.get $state_end) (i32.const 8) (i32.const 5)) (local.get $state_end)))

    (func $add (param $message i32) (param $message_end i32) (result i64 i32)
      (call $integer
        (call $find (local.get $message) (local.get $message_end) (i32.const 0) (i32.const 3)) (local.get $message_end)))

    (func (export "init") (result i32)
      (call $state_of (i64.const 0)))

    (func (export "state-contract") (param $state i32) (param $size i32) (result i32)
      (local $good i32)
      (call $count (local.get $state) (i32.add (local.get $state) (local.get $size)))
      (local.set $good)
      (i64.ge_s (i64.const 0))
      (i32.and (local.get $good)))

    (func (export "message-contract")
      (param $message i32) (param $size i32) (param $state i32) (param $state_size i32) (result i32)
      (local $end i32) (local $good i32) (local $tell i32)
      (local.set $end (i32.add (local.get $message) (local.get $size)))
      (call $add (local.get $message) (local.get $end))
      (local.set $good)
      (drop)
      (local.set $tell (call $find (local.get $message) (local.get $end) (i32.const 4) (i32.const 4)))
      (i32.and (local.get $good) (i32.or
        (i32.eqz (local.get $tell))
        (i32.ne (call $plain_text (local.get $tell) (local.get $end)) (i32.const 0)))))

    (func (export "handle")
      (param $message i32) (param $size i32) (param $state i32) (param $state_size i32) (result i32)
      (local $end i32) (local $good i32) (local $added i64) (local $now i64) (local $line i32) (local $tell i32)
      (local.set $end (i32.add (local.get $message) (local.get $size)))
      (call $add (local.get $message) (local.get $end))
      (if (i32.eqz) (then unreachable))
      (local.set $added)
      (call $count (local.get $state) (i32.add (local.get $state) (local.get $state_size)))
      (if (i32.eqz) (then unreachable))
      (local.set $now (i64.add (local.get $added)))
      (if (i64.gt_s (local.get $now) (i64.const 9007199254740991)) (then unreachable))

      (local.set $line (call $write (i32.const 256) (i32.const 32) (i32.const 6)))
      (local.set $line (call $write_number (local.get $line) (local.get $added)))
      (local.set $line (call $write (local.get $line) (i32.const 48) (i32.const 15)))
      (local.set $line (call $write_number (local.get $line) (local.get $now)))
      (call $log (i32.const 256) (i32.sub (local.get $line) (i32.const 256)))

      (drop (call $state_of (local.get $now)))
      (local.set $tell (call $find (local.get $message) (local.get $end) (i32.const 4) (i32.const 4)))
      (if (local.get $tell) (then
        (call $send
          (i32.add (local.get $tell) (i32.const 1))
          (i32.sub
            (call $plain_text (local.get $tell) (local.get $end))
            (i32.add (local.get $tell) (i32.const 1)))
          (i32.const 128)
          (i32.load (i32.const 68)))))
      (i32.const 64)))

  (core instance $store (instantiate $store))
  (alias core export $store "memory" (core memory $memory))
  (core func $log (canon lower (func $runtime "log") (memory $memory)))
  (core func $send (canon lower (func $runtime "send") (memory $memory)))
  (core instance $counter (instantiate $counter
    (with "store" (instance $store))
    (with "runtime" (instance (export "log" (func $log)) (export "send" (func $send))))))
  (alias core export $counter "realloc" (core func $realloc))

  (func $init (result (list u8))
    (canon lift (core func $counter "init") (memory $memory)))
  (func $state_contract (param "state" (list u8)) (result bool)
    (canon lift (core func $counter "state-contract") (memory $memory) (realloc $realloc)))
  (func $message_contract (param "msg" (list u8)) (param "state" (list u8)) (result bool)
    (canon lift (core func $counter "message-contract") (memory $memory) (realloc $realloc)))
  (func $handle (param "msg" (list u8)) (param "state" (list u8)) (result (list u8))
    (canon lift (core func $counter "handle") (memory $memory) (realloc $realloc)))

  (instance $actor
    (export "init" (func $init))
    (export "state-contract" (func $state_contract))
    (export "message-contract" (func $message_contract))
    (export "handle" (func $handle)))
  (export "ntwk:simple-actor/actor" (instance $actor)))
