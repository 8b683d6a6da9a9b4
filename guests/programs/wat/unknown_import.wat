;; No host offers `env::nosuch`: instantiation has to fail, and the error to name it.
(module
  (import "env" "nosuch" (func $nosuch))
  (memory (export "memory") 1)
  (func (export "_start")
    (call $nosuch)))
