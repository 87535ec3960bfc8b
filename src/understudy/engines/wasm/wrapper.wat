;; What makes a component of a core module that a compiler wrote for the world `first-actor`. wrapper.py puts that module
;; in the place of `$actor`.
(component
  (import "ntwk:simple-actor/runtime" (instance $runtime
    (export "log" (func (param "msg" string)))
    (export "send" (func (param "actor-id" string) (param "msg" (list u8))))))

  (core module $actor)

  ;; `log` and `send` read the actor's memory, which is there only once the actor is, which needs `log` and `send`.
  ;; So the actor gets functions that go through a table, and the table is filled afterwards.
  (core module $doors
    (type $log (func (param i32 i32)))
    (type $send (func (param i32 i32 i32 i32)))
    (table (export "table") 2 2 funcref)
    (func (export "log") (type $log)
      (call_indirect (type $log) (local.get 0) (local.get 1) (i32.const 0)))
    (func (export "send") (type $send)
      (call_indirect (type $send) (local.get 0) (local.get 1) (local.get 2) (local.get 3) (i32.const 1))))
  (core module $filler
    (import "" "table" (table 2 2 funcref))
    (import "" "log" (func $log (param i32 i32)))
    (import "" "send" (func $send (param i32 i32 i32 i32)))
    (elem (i32.const 0) func $log $send))

  (core instance $doors (instantiate $doors))
  (core instance $actor (instantiate $actor (with "ntwk:simple-actor/runtime" (instance $doors))))
  (alias core export $actor "memory" (core memory $memory))
  (alias core export $actor "cabi_realloc" (core func $realloc))
  (core func $log (canon lower (func $runtime "log") (memory $memory)))
  (core func $send (canon lower (func $runtime "send") (memory $memory)))
  (core instance (instantiate $filler (with "" (instance
    (export "table" (table $doors "table"))
    (export "log" (func $log))
    (export "send" (func $send))))))

  (func $init (result (list u8))
    (canon lift (core func $actor "ntwk:simple-actor/actor#init") (memory $memory)))
  (func $state_contract (param "state" (list u8)) (result bool)
    (canon lift (core func $actor "ntwk:simple-actor/actor#state-contract")
      (memory $memory) (realloc $realloc)))
  (func $message_contract (param "msg" (list u8)) (param "state" (list u8)) (result bool)
    (canon lift (core func $actor "ntwk:simple-actor/actor#message-contract")
      (memory $memory) (realloc $realloc)))
  (func $handle (param "msg" (list u8)) (param "state" (list u8)) (result (list u8))
    (canon lift (core func $actor "ntwk:simple-actor/actor#handle")
      (memory $memory) (realloc $realloc)))

  (instance $exports
    (export "init" (func $init))
    (export "state-contract" (func $state_contract))
    (export "message-contract" (func $message_contract))
    (export "handle" (func $handle)))
  (export "ntwk:simple-actor/actor" (instance $exports)))
