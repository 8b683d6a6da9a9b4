;; Divides by zero two named calls deep; the names must come back in the backtrace.
(module
  (memory (export "memory") 1)
  (func $divide_by (param $divisor i32) (result i32)
    (i32.div_u (i32.const 42) (local.get $divisor)))
  (func $average_of_nothing (result i32)
    (call $divide_by (i32.const 0)))
  (func $main (export "_start")
    (drop (call $average_of_nothing))))
