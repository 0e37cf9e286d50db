-- input_spec.lua
-- Calls with wrong arguments, wrong objects, in a wrong state. The rule for all: the
-- error is Lua's own, has the place of the user's call, and a call that failed leaves
-- nothing behind.

local Isolate = require "isolate"
local helper = require "spec.helper"
local core   = require "isolate.core"
local turns  = require "spec.support.turns"

local failure = turns.failure
local GUARD = 10                     -- seconds; only a fault ever waits this long

-- What the calls below are made with, as globals: also for a child process, so it is a
-- text.
local OBJECTS = [[
  Isolate = require "isolate"
  Future, Timer, Completer = Isolate.Future, Isolate.Timer, Isolate.Completer
  port, raw = Isolate.ReceivePort("inbox"), Isolate.RawReceivePort()
  heard, closed = Isolate.ReceivePort(), Isolate.ReceivePort()
  subscription = heard:listen(print)
  closed:close()
  send_port, capability = port.send_port, Isolate.Capability()
  ended = Isolate.spawn(function() end)
  ended:join(10)
  future, completer, completed = Future.value(1), Completer(), Completer.sync()
  completed:complete(1)
  timer = Timer(1000, print)
  co, nan, huge = coroutine.create(print), 0/0, math.huge
  file = package.searchpath("isolate", package.path)  -- any Lua file
  function nothing() end
  named = setmetatable({}, { __name = "Account" })
  misnamed = setmetatable({}, { __name = 42 })
  -- whoever asks this one is told so
  function touched() error "touched" end
  hostile = setmetatable({}, {
    __index = touched, __newindex = touched, __len = touched, __eq = touched, __pairs = touched,
    __tostring = touched, __concat = touched, __lt = touched, __le = touched, __name = touched,
    __metatable = false,
  })
  function clean()
    port:close() raw:close() heard:close() timer:cancel()
  end
]]

-- { what: { call, error }, … }. All run as statements of their own.
local cases = {
  { "starting an isolate",
    -- nil comes of a wrong name, and of `spawn(fn())`
    { "Isolate.spawn(nothing())",
      "bad argument #1 to 'spawn' (function expected, got nil); give the function itself, not what it returns" },
    { "Isolate.run()",
      "bad argument #1 to 'run' (function expected, got nil); give the function itself, not what it returns" },
    { "Isolate.run 'name'", "bad argument #1 to 'run' (function expected, got string)" },
    { "Isolate.run(42, 1, 2)", "bad argument #1 to 'run' (function expected, got number)" },
    { "Isolate.run(named)", "bad argument #1 to 'run' (function expected, got Account)" },
    { "Isolate.run(misnamed)", "bad argument #1 to 'run' (function expected, got table)" },
    { "Isolate.run(hostile)", "bad argument #1 to 'run' (function expected, got table)" },
    { "Isolate.run(io.stdout)", "bad argument #1 to 'run' (function expected, got FILE*)" },
    { "Isolate:run(nothing)", "bad argument #1 to 'run' (function expected, got module isolate)" },
    { "Isolate.run(nothing, co)", "cannot send argument[1]: a coroutine stays in its isolate" },
    { "Isolate.run(nothing, 1, future)", "cannot send argument[2]: a Future stays in its isolate" },
    { "Isolate.run(function() return port end)",
      "cannot send fn.global 'port': a ReceivePort stays in its isolate" },
    { "Isolate.compute(nil, 1)",
      "bad argument #1 to 'compute' (function expected, got nil); give the function itself, not what it returns" },
    { "Isolate.compute(nothing, 1, 2)", "bad argument #3 to 'compute' (table expected, got number)" },
    { "Isolate.compute(nothing, timer)", "cannot send message: a Timer stays in its isolate" },
    { "Isolate.spawn(true)", "bad argument #1 to 'spawn' (function expected, got boolean)" },
    { "Isolate.spawn(nothing, 1, 2)", "bad argument #3 to 'spawn' (table expected, got number)" },
    { "Isolate.spawn(nothing, 1, send_port)", "bad argument #3 to 'spawn' (table expected, got SendPort)" },
    { "Isolate.spawn(nothing, port)", "cannot send message: a ReceivePort stays in its isolate" },
    { "Isolate.spawn(nothing, {completer})", "cannot send message[1]: a Completer stays in its isolate" },
    { "Isolate.spawn_file()", "bad argument #1 to 'spawn_file' (string expected, got nil)" },
    { "Isolate.spawn_file(nothing)", "bad argument #1 to 'spawn_file' (string expected, got function)" },
    { "Isolate.spawn_file('file.lua', nil, 1)",
      "bad argument #3 to 'spawn_file' (table expected, got number)" },
    { "Isolate.spawn_file 'no/such.lua'", "cannot read no/such.lua: No such file or directory" },
    { "Isolate.spawn_file(file, co)", "cannot send message: a coroutine stays in its isolate" },
    { "Isolate.async()",
      "bad argument #1 to 'async' (function expected, got nil); give the function itself, not what it returns" },
    { "Isolate.async(future)", "bad argument #1 to 'async' (function expected, got Future)" },
  },

  { "its options",
    { "Isolate.spawn(nothing, nil, {nam = 'x'})", "bad argument #3 to 'spawn' (unknown option 'nam')" },
    { "Isolate.spawn(nothing, nil, {'x'})", "bad argument #3 to 'spawn' (unknown option '1')" },
    { "Isolate.spawn(nothing, nil, {[0.5] = 1})", "bad argument #3 to 'spawn' (unknown option '0.5')" },
    { "Isolate.spawn(nothing, nil, {[true] = 1})", "bad argument #3 to 'spawn' (unknown option 'true')" },
    { "Isolate.spawn(nothing, nil, {[named] = 1})", "bad argument #3 to 'spawn' (unknown option 'Account')" },
    { "Isolate.spawn(nothing, nil, {[hostile] = 1})", "bad argument #3 to 'spawn' (unknown option 'table')" },
    { "Isolate.spawn(nothing, nil, {timeout = 1})", "bad argument #3 to 'spawn' (unknown option 'timeout')" },
    { "Isolate.compute(nothing, nil, {args = {}})", "bad argument #3 to 'compute' (unknown option 'args')" },
    { "Isolate.spawn_file('file.lua', nil, {timeout = 1})",
      "bad argument #3 to 'spawn_file' (unknown option 'timeout')" },
    { "Isolate.spawn_file('file.lua', nil, {args = 'x'})",
      "bad argument #3 to 'spawn_file' (option 'args': table expected, got string)" },
    { "Isolate.spawn(nothing, nil, {name = 42})",
      "bad argument #3 to 'spawn' (option 'name': string expected, got number)" },
    { "Isolate.spawn(nothing, nil, {name = hostile})",
      "bad argument #3 to 'spawn' (option 'name': string expected, got table)" },
    { "Isolate.spawn(nothing, nil, {path = {}})",
      "bad argument #3 to 'spawn' (option 'path': string expected, got table)" },
    { "Isolate.spawn(nothing, nil, {cpath = true})",
      "bad argument #3 to 'spawn' (option 'cpath': string expected, got boolean)" },
    { "Isolate.spawn(nothing, nil, {paused = 1})",
      "bad argument #3 to 'spawn' (option 'paused': boolean expected, got number)" },
    { "Isolate.spawn(nothing, nil, {errors_are_fatal = 'no'})",
      "bad argument #3 to 'spawn' (option 'errors_are_fatal': boolean expected, got string)" },
    -- the port in the place of its SendPort: the likeliest of all
    { "Isolate.spawn(nothing, nil, {on_exit = port})",
      "bad argument #3 to 'spawn' (option 'on_exit': SendPort expected, got ReceivePort)" },
    { "Isolate.spawn(nothing, nil, {on_error = print})",
      "bad argument #3 to 'spawn' (option 'on_error': SendPort expected, got function)" },
    { "Isolate.spawn(nothing, nil, {on_error = capability})",
      "bad argument #3 to 'spawn' (option 'on_error': SendPort expected, got Capability)" },
    { "Isolate.spawn(nothing, nil, {memory_limit = '1M'})",
      "bad argument #3 to 'spawn' (option 'memory_limit': positive number of bytes expected, got string)" },
    { "Isolate.spawn(nothing, nil, {memory_limit = 0})",
      "bad argument #3 to 'spawn' (option 'memory_limit': positive number of bytes expected, got 0)" },
    { "Isolate.spawn(nothing, nil, {memory_limit = math.mininteger})",
      "bad argument #3 to 'spawn' (option 'memory_limit': positive number of bytes expected, got -9223372036854775808)" },
    { "Isolate.spawn(nothing, nil, {stack_size = 1})",
      "bad argument #3 to 'spawn' (option 'stack_size': number of bytes, at least 524288 expected, got 1)" },
    { "Isolate.spawn(nothing, nil, {stack_size = huge})",
      "bad argument #3 to 'spawn' (option 'stack_size': number of bytes, at least 524288 expected, got inf)" },
    { "Isolate.spawn(nothing, nil, {stack_size = math.maxinteger})",
      "bad argument #3 to 'spawn' (option 'stack_size': number of bytes, at least 524288 expected, got 9223372036854775807)" },
    { "Isolate.spawn(nothing, nil, {grace = -1})",
      "bad argument #3 to 'spawn' (option 'grace': number of seconds expected, got -1)" },
    { "Isolate.compute(nothing, nil, {timeout = -0.5})",
      "bad argument #3 to 'compute' (option 'timeout': number of seconds expected, got -0.5)" },
    { "Isolate.compute(nothing, nil, {timeout = '1'})",
      "bad argument #3 to 'compute' (option 'timeout': number of seconds expected, got string)" },
    { "Isolate.spawn(nothing, nil, {libs = 'io'})",
      "bad argument #3 to 'spawn' (option 'libs': array of library names expected, got string)" },
    { "Isolate.spawn(nothing, nil, {libs = {io = true}})",
      "bad argument #3 to 'spawn' (option 'libs': array of library names expected, got table)" },
    { "Isolate.spawn(nothing, nil, {libs = {'io', os = 1}})",
      "bad argument #3 to 'spawn' (option 'libs': array of library names expected, got table)" },
    { "Isolate.spawn(nothing, nil, {libs = {nil, 'io'}})",
      "bad argument #3 to 'spawn' (option 'libs': name of a standard library at [1] expected, got nil)" },
    { "Isolate.spawn(nothing, nil, {libs = {'io', 'ffi'}})",
      "bad argument #3 to 'spawn' (option 'libs': name of a standard library at [2] expected, got ffi)" },
    { "Isolate.spawn(nothing, nil, {libs = {hostile}})",
      "bad argument #3 to 'spawn' (option 'libs': name of a standard library at [1] expected, got table)" },
    -- What a metatable gives is an option as well: this was an error of our own file, or was let pass.
    { "Isolate.spawn(nothing, nil, setmetatable({}, {__index = {stack_size = 'x'}}))",
      "bad argument #3 to 'spawn' (option 'stack_size': number of bytes, at least 524288 expected, got string)" },
    { "Isolate.spawn(nothing, nil, setmetatable({}, {__index = {name = 42}}))",
      "bad argument #3 to 'spawn' (option 'name': string expected, got number)" },
  },

  { "handles",
    { "Isolate.handle()", "bad argument #1 to 'handle' (SendPort expected, got nil)" },
    { "Isolate.handle(ended)", "bad argument #1 to 'handle' (SendPort expected, got Handle)" },
    { "Isolate.handle(send_port, 1)", "bad argument #2 to 'handle' (table expected, got number)" },
    { "Isolate.handle(send_port, {pause = capability})",
      "bad argument #2 to 'handle' (unknown option 'pause')" },
    { "Isolate.handle(send_port, {pause_capability = send_port})",
      "bad argument #2 to 'handle' (option 'pause_capability': Capability expected, got SendPort)" },
    { "Isolate.handle(send_port, {terminate_capability = true})",
      "bad argument #2 to 'handle' (option 'terminate_capability': Capability expected, got boolean)" },
    { "ended.kill()", "calling 'kill' on bad self (Handle expected, got nil)" },
    { "ended.kill(port)", "calling 'kill' on bad self (Handle expected, got ReceivePort)" },
    { "ended.kill(hostile)", "calling 'kill' on bad self (Handle expected, got table)" },
    { "ended:kill 'now'",
      "bad argument #1 to 'kill' (Isolate.immediate or Isolate.before_next_event expected, got now)" },
    { "ended:kill(2)",
      "bad argument #1 to 'kill' (Isolate.immediate or Isolate.before_next_event expected, got 2)" },
    { "ended:kill(hostile)",
      "bad argument #1 to 'kill' (Isolate.immediate or Isolate.before_next_event expected, got table)" },
    { "ended.pause(capability)", "calling 'pause' on bad self (Handle expected, got Capability)" },
    { "ended:pause(send_port)", "bad argument #1 to 'pause' (Capability expected, got SendPort)" },
    { "ended.resume(capability)", "calling 'resume' on bad self (Handle expected, got Capability)" },
    { "ended:resume()", "bad argument #1 to 'resume' (Capability expected, got nil)" },
    { "ended.ping(send_port)", "calling 'ping' on bad self (Handle expected, got SendPort)" },
    { "ended:ping()", "bad argument #1 to 'ping' (SendPort expected, got nil)" },
    { "ended:ping(port)", "bad argument #1 to 'ping' (SendPort expected, got ReceivePort)" },
    { "ended:ping(send_port, 1, 'soon')",
      "bad argument #3 to 'ping' (Isolate.immediate or Isolate.before_next_event expected, got soon)" },
    { "ended:ping(send_port, co)", "cannot send response: a coroutine stays in its isolate" },
    { "ended.join(1)", "calling 'join' on bad self (Handle expected, got number)" },
    { "ended:join 'long'", "bad argument #1 to 'join' (number expected, got string)" },
    { "ended:join(nan)", "bad argument #1 to 'join' (number expected, got nan)" },
    { "ended.add_on_exit_listener(send_port)",
      "calling 'add_on_exit_listener' on bad self (Handle expected, got SendPort)" },
    { "ended:add_on_exit_listener(print)",
      "bad argument #1 to 'add_on_exit_listener' (SendPort expected, got function)" },
    { "ended:add_on_exit_listener(send_port, {co})",
      "cannot send response[1]: a coroutine stays in its isolate" },
    { "ended.remove_on_exit_listener(send_port)",
      "calling 'remove_on_exit_listener' on bad self (Handle expected, got SendPort)" },
    { "ended:remove_on_exit_listener(port)",
      "bad argument #1 to 'remove_on_exit_listener' (SendPort expected, got ReceivePort)" },
    { "ended.add_error_listener(send_port)",
      "calling 'add_error_listener' on bad self (Handle expected, got SendPort)" },
    { "ended:add_error_listener()", "bad argument #1 to 'add_error_listener' (SendPort expected, got nil)" },
    { "ended.remove_error_listener(send_port)",
      "calling 'remove_error_listener' on bad self (Handle expected, got SendPort)" },
    { "ended:remove_error_listener(raw)",
      "bad argument #1 to 'remove_error_listener' (SendPort expected, got RawReceivePort)" },
    { "ended.set_errors_fatal(true)", "calling 'set_errors_fatal' on bad self (Handle expected, got boolean)" },
    { "ended:set_errors_fatal()", "bad argument #1 to 'set_errors_fatal' (boolean expected, got nil)" },
    { "ended:set_errors_fatal(0)", "bad argument #1 to 'set_errors_fatal' (boolean expected, got number)" },
    -- what belongs to the module, and what people look for
    { "ended:run(nothing)", "a handle has no 'run': do you mean Isolate.run(fn, ...)?" },
    { "ended:exit()",
      "a handle has no 'exit': do you mean Isolate.exit(), which ends the isolate that calls it; to end another, iso:kill()?" },
    { "ended:sleep(1)", "a handle has no 'sleep': do you mean Isolate.sleep(seconds)?" },
    { "ended:send(1)", "a handle has no 'send': do you mean a SendPort: port.send_port:send(message)?" },
    { "ended:await()",
      "a handle has no 'await': do you mean iso:join(), which waits for its end; Isolate.run gives a Future?" },
    { "ended:close()", "a handle has no 'close': do you mean iso:kill()?" },
    { "ended:cancel()", "a handle has no 'cancel': do you mean iso:kill()?" },
    { "ended:stop()", "attempt to call a nil value (method 'stop')" },
  },

  { "ports",
    { "Isolate.ReceivePort(42)", "bad argument #1 to 'ReceivePort' (string expected, got number)" },
    { "Isolate.ReceivePort(hostile)", "bad argument #1 to 'ReceivePort' (string expected, got table)" },
    { "Isolate:ReceivePort()", "bad argument #1 to 'ReceivePort' (string expected, got module isolate)" },
    { "Isolate.ReceivePort.from_raw()", "bad argument #1 to 'from_raw' (RawReceivePort expected, got nil)" },
    { "Isolate.ReceivePort.from_raw(port)",
      "bad argument #1 to 'from_raw' (RawReceivePort expected, got ReceivePort)" },
    { "Isolate.ReceivePort:from_raw(raw)",
      "bad argument #1 to 'from_raw' (RawReceivePort expected, got table)" },
    { "raw:close() Isolate.ReceivePort.from_raw(raw)",
      "from_raw: the port is closed, or was taken over already" },
    { "port.receive()", "calling 'receive' on bad self (ReceivePort expected, got nil)" },
    { "port.receive(0.5)", "calling 'receive' on bad self (ReceivePort expected, got number)" },
    { "port.receive(raw)", "calling 'receive' on bad self (ReceivePort expected, got RawReceivePort)" },
    { "port.receive(hostile)", "calling 'receive' on bad self (ReceivePort expected, got table)" },
    { "port:receive 'long'", "bad argument #1 to 'receive' (number expected, got string)" },
    { "port:receive(nan)", "bad argument #1 to 'receive' (number expected, got nan)" },
    { "port:receive(hostile)", "bad argument #1 to 'receive' (number expected, got table)" },
    { "heard:receive()", "bad use of 'receive': somebody listens to this port already" },
    { "port.first()", "calling 'first' on bad self (ReceivePort expected, got nil)" },
    { "heard:first()", "bad use of 'first': somebody listens to this port already" },
    { "for _ in port.messages() do end", "calling 'messages' on bad self (ReceivePort expected, got nil)" },
    { "for _ in heard:messages() do end", "bad use of 'messages': somebody listens to this port already" },
    { "port.listen(print)", "calling 'listen' on bad self (ReceivePort expected, got function)" },
    { "port:listen()",
      "bad argument #1 to 'listen' (function expected, got nil); give the function itself, not what it returns" },
    { "port:listen(send_port)", "bad argument #1 to 'listen' (function expected, got SendPort)" },
    { "port:listen(print, print)", "bad argument #2 to 'listen' (table expected, got function)" },
    { "port:listen(print, {done = print})", "bad argument #2 to 'listen' (unknown option 'done')" },
    { "port:listen(print, {on_done = 42})",
      "bad argument #2 to 'listen' (option 'on_done': function expected, got number)" },
    { "heard:listen(print)", "bad use of 'listen': somebody listens to this port already" },
    { "port.close()", "calling 'close' on bad self (ReceivePort expected, got nil)" },
    { "port.close(42)", "calling 'close' on bad self (ReceivePort expected, got number)" },
    { "port.close(raw)", "calling 'close' on bad self (ReceivePort expected, got RawReceivePort)" },
    { "raw.close(port)", "calling 'close' on bad self (RawReceivePort expected, got ReceivePort)" },
    { "port:send(1)", "attempt to call a nil value (method 'send')" },
    { "subscription.pause()", "calling 'pause' on bad self (Subscription expected, got nil)" },
    { "subscription.resume(port)", "calling 'resume' on bad self (Subscription expected, got ReceivePort)" },
    { "subscription.cancel(timer)", "calling 'cancel' on bad self (Subscription expected, got Timer)" },
    { "Isolate.RawReceivePort 'print'", "bad argument #1 to 'RawReceivePort' (function expected, got string)" },
    { "Isolate.RawReceivePort(named)", "bad argument #1 to 'RawReceivePort' (function expected, got Account)" },
    { "raw.handler = 42", "bad argument #1 to 'handler' (function expected, got number)" },
    { "raw.keep_alive = nil", "bad argument #1 to 'keep_alive' (boolean expected, got nil)" },
    { "raw.keep_alive = 1", "bad argument #1 to 'keep_alive' (boolean expected, got number)" },
    { "raw.on_message = print", "a RawReceivePort has no field 'on_message' to be set" },
    { "raw[hostile] = 1", "a RawReceivePort has no field 'table' to be set" },
    -- A ReceivePort took these and did nothing; with `keep_alive = false`, the program never ended.
    { "port.handler = print", "a ReceivePort has no 'handler' to be set: do you mean a RawReceivePort?" },
    { "port.keep_alive = false", "a ReceivePort has no 'keep_alive' to be set: do you mean a RawReceivePort?" },
    { "send_port.send(1)", "calling 'send' on bad self (SendPort expected, got number)" },
    { "send_port.send()", "calling 'send' on bad self (SendPort expected, got no value)" },
    { "send_port.send(port, 1)", "calling 'send' on bad self (SendPort expected, got ReceivePort)" },
    { "send_port.send(capability, 1)", "calling 'send' on bad self (SendPort expected, got Capability)" },
    { "send_port.send(hostile, 1)", "calling 'send' on bad self (SendPort expected, got table)" },
    { "send_port:send(co)", "cannot send message: a coroutine stays in its isolate" },
    { "send_port:send {jobs = {1, {f = future}}}",
      "cannot send message.jobs[2].f: a Future stays in its isolate" },
    { "send_port:receive()", "attempt to call a nil value (method 'receive')" },
    { "send_port.name = 'x'", "attempt to index a isolate.SendPort value (global 'send_port')" },
  },

  { "futures",
    { "future.await()", "calling 'await' on bad self (Future expected, got nil)" },
    { "future.await(1)", "calling 'await' on bad self (Future expected, got number)" },
    { "future.await(port)", "calling 'await' on bad self (Future expected, got ReceivePort)" },
    { "future.await(hostile)", "calling 'await' on bad self (Future expected, got table)" },
    { "future:await 'long'", "bad argument #1 to 'await' (number expected, got string)" },
    { "future:await(nan)", "bad argument #1 to 'await' (number expected, got nan)" },
    { "future.is_done()", "calling 'is_done' on bad self (Future expected, got nil)" },
    { "future.next(print)", "calling 'next' on bad self (Future expected, got function)" },
    { "future:next(42)", "bad argument #1 to 'next' (function expected, got number)" },
    { "future:next(nil, {})", "bad argument #2 to 'next' (function expected, got table)" },
    { "future.catch(print)", "calling 'catch' on bad self (Future expected, got function)" },
    { "future:catch()",
      "bad argument #1 to 'catch' (function expected, got nil); give the function itself, not what it returns" },
    { "future.finally(print)", "calling 'finally' on bad self (Future expected, got function)" },
    { "future:finally(true)", "bad argument #1 to 'finally' (function expected, got boolean)" },
    { "future.timeout(1)", "calling 'timeout' on bad self (Future expected, got number)" },
    { "future:timeout()", "bad argument #1 to 'timeout' (number expected, got nil)" },
    { "future:timeout(nan)", "bad argument #1 to 'timeout' (number expected, got nan)" },
    { "future.cancel()", "calling 'cancel' on bad self (Future expected, got nil)" },
    { "future.cancel(timer)", "calling 'cancel' on bad self (Future expected, got Timer)" },
    { "future:cancel(true)", "bad argument #1 to 'cancel' (table expected, got boolean)" },
    -- A misspelt 'gentle' was no option, and the job that was only to be asked was killed.
    { "future:cancel {gentel = true}", "bad argument #1 to 'cancel' (unknown option 'gentel')" },
    { "future:cancel {gentle = 1}",
      "bad argument #1 to 'cancel' (option 'gentle': boolean expected, got number)" },
    { "future()", "attempt to call a isolate.Future value (global 'future')" },
    { "Future(1)", "attempt to call a table value (global 'Future')" },
    { "Future.delayed()", "bad argument #1 to 'delayed' (number expected, got nil)" },
    { "Future.delayed(nan)", "bad argument #1 to 'delayed' (number expected, got nan)" },
    { "Future.delayed(nothing, 1)", "bad argument #1 to 'delayed' (number expected, got function)" },
    { "Future.delayed(1, 'print')", "bad argument #2 to 'delayed' (function expected, got string)" },
    { "Future.all()", "bad argument #1 to 'all' (table expected, got nil)" },
    { "Future.all 'x'", "bad argument #1 to 'all' (table expected, got string)" },
    { "Future.all {future, 42}", "bad argument #1 to 'all' (a Future expected at [2], got number)" },
    { "Future.all {future, nil, future}", "bad argument #1 to 'all' (a Future expected at [2], got nil)" },
    { "Future.all {hostile}", "bad argument #1 to 'all' (a Future expected at [1], got table)" },
    { "Future.all(setmetatable({}, {__len = function() return 'x' end}))",
      "bad argument #1 to 'all' (object length is not an integer)" },
    -- These two were done at once, with nothing.
    { "Future.all(completer.future, future)", "bad argument #1 to 'all' (table expected, got Future)" },
    { "Future:all {future}", "bad argument #1 to 'all' (list of Futures expected, got the class Future)" },
    { "Future.any()", "bad argument #1 to 'any' (table expected, got nil)" },
    { "Future.any(future, future)", "bad argument #1 to 'any' (table expected, got Future)" },
    { "Future:any {future}", "bad argument #1 to 'any' (list of Futures expected, got the class Future)" },
    { "Future.any {port}", "bad argument #1 to 'any' (a Future expected at [1], got ReceivePort)" },
    { "completer.complete(1)", "calling 'complete' on bad self (Completer expected, got number)" },
    { "completer.complete()", "calling 'complete' on bad self (Completer expected, got nil)" },
    { "completed:complete(2)", "this Completer is already completed" },
    { "completed:complete_error(2)", "this Completer is already completed" },
    { "completer.complete_error('x')",
      "calling 'complete_error' on bad self (Completer expected, got string)" },
    { "completer.is_completed()", "calling 'is_completed' on bad self (Completer expected, got nil)" },
    { "completer.is_completed(future)", "calling 'is_completed' on bad self (Completer expected, got Future)" },
    -- It could never be done.
    { "completer:complete(completer.future)",
      "bad argument #1 to 'complete' (a Future cannot be completed with itself)" },
  },

  { "time",
    { "Isolate.sleep()", "bad argument #1 to 'sleep' (number expected, got nil)" },
    { "Isolate.sleep '1'", "bad argument #1 to 'sleep' (number expected, got string)" },
    { "Isolate.sleep(nan)", "bad argument #1 to 'sleep' (number expected, got nan)" },
    { "Isolate:sleep(1)", "bad argument #1 to 'sleep' (number expected, got module isolate)" },
    { "Timer()", "bad argument #1 to 'Timer' (number expected, got nil)" },
    { "Timer(print, 1)", "bad argument #1 to 'Timer' (number expected, got function)" },
    { "Timer(nan, print)", "bad argument #1 to 'Timer' (number expected, got nan)" },
    { "Timer(1)",
      "bad argument #2 to 'Timer' (function expected, got nil); give the function itself, not what it returns" },
    { "Timer(1, timer)", "bad argument #2 to 'Timer' (function expected, got Timer)" },
    { "Timer.periodic(nan, print)", "bad argument #1 to 'periodic' (number expected, got nan)" },
    { "Timer.periodic(1, 2)", "bad argument #2 to 'periodic' (function expected, got number)" },
    { "Timer:periodic(1, print)", "bad argument #1 to 'periodic' (number expected, got table)" },
    { "timer.cancel()", "calling 'cancel' on bad self (Timer expected, got nil)" },
    { "timer.cancel(future)", "calling 'cancel' on bad self (Timer expected, got Future)" },
    { "timer.is_active()", "calling 'is_active' on bad self (Timer expected, got nil)" },
  },

  { "a main isolate",
    { "Isolate.step 'long'", "bad argument #1 to 'step' (number expected, got string)" },
    { "Isolate.step(nan)", "bad argument #1 to 'step' (number expected, got nan)" },
    { "Isolate:step(0.1)", "bad argument #1 to 'step' (number expected, got module isolate)" },
    { "Isolate.exit()", "Isolate.exit: this is a main isolate; it ends with its program" },
    { "Isolate.exit(print)", "Isolate.exit: this is a main isolate; it ends with its program" },
  },

  { "the module",
    -- Reading a field that is none gives nil, as with any module; Lua's error has its name.
    { "Isolate.Spawn(nothing)", "attempt to call a nil value (field 'Spawn')" },
    { "Isolate.recievePort()", "attempt to call a nil value (field 'recievePort')" },
    { "Isolate[nan]()", "attempt to call a nil value (field '?')" },
    { "Isolate()", "attempt to call a module isolate value (global 'Isolate')" },
  },
}

-- Makes `call` with the objects of `env`, as line 3 of user.lua.
local function try(call, env)
  return pcall(assert(load("\n\n" .. call .. "\n", "=user.lua", "t", env)))
end

local function objects()
  local env = setmetatable({}, { __index = _G })
  load(OBJECTS, "=objects", "t", env)()
  return env
end

describe("A wrong call raises Lua's error where it was made:", function()
  for _, group in ipairs(cases) do
    describe(group[1], function()
      for i = 2, #group do
        local call, text = table.unpack(group[i])
        it(call, function()
          local env = objects()
          local alive, isolates = core.alive(), #Isolate.list()
          local ok, err = try(call, env)
          local alive_after, isolates_after = core.alive(), #Isolate.list()
          env.clean()
          assert.is_false(ok)
          assert.equal("user.lua:3: " .. text, err)
          -- a call that failed has opened and started nothing
          assert.equal(isolates, isolates_after)
          if not call:find "^raw:close" then assert.equal(alive, alive_after) end
          assert.equal(0, core.alive())
        end)
      end
    end)
  end
end)

-- The same, where it all happens away from this state.

local MAKE_ALL = [[
  local OBJECTS, calls = ...
  local different = {}
  for _, case in ipairs(calls) do
    local env = setmetatable({}, { __index = _G })
    load(OBJECTS, "=objects", "t", env)()
    local ok, err = pcall(assert(load("\n\n" .. case[1] .. "\n", "=user.lua", "t", env)))
    if ok or err ~= "user.lua:3: " .. case[2] then
      different[#different + 1] = case[1] .. ": " .. tostring(err)
    end
    env.clean()
  end
  return table.concat(different, "\n")
]]

-- All calls but those of the group `title`.
local function calls_without(title)
  local calls = {}
  for _, group in ipairs(cases) do
    if group[1] ~= title then table.move(group, 2, #group, #calls + 1, calls) end
  end
  return calls
end

describe("All wrong calls", function()
  it("raise the same in a spawned isolate, which goes on", function()
    local calls = calls_without "a main isolate"
    assert.is_true(#calls > 200)
    assert.equal("", Isolate.run(load(MAKE_ALL), OBJECTS, calls):await(GUARD * helper.slow))
  end)

  it("of a program leave nothing that would keep it from ending", function()
    local lines = {}
    for _, case in ipairs(calls_without "none of them") do
      lines[#lines + 1] = ("{%q, %q},"):format(case[1], case[2])
    end
    local result = helper.lua(([[
      local different = assert(load(%q))(%q, {%s})
      local Isolate = require "isolate"
      Isolate.loop()
      print(#Isolate.list(), different)
    ]]):format(MAKE_ALL, OBJECTS, table.concat(lines, "\n")), { guard = 20, files = { ["file.lua"] = "" } })
    assert.equal("1\t\n", result.stdout)
    assert.equal("", result.stderr)
    assert.equal(0, result.status)
  end)
end)

--
-- What is unusual, but right
--

describe("A number of seconds", function()
  local huge = math.huge

  it("below nothing is nothing", function()
    local port <close> = Isolate.ReceivePort()
    for _, seconds in ipairs { 0, -1, -0.0, -huge, math.mininteger, -1e300 } do
      Isolate.sleep(seconds)
      assert.same({ nil, "timeout" }, { port:receive(seconds) })
      assert.equal(Isolate.TimeoutError, getmetatable(failure(function()
        Isolate.Completer().future:await(seconds)
      end)))
      assert.equal("late", Isolate.Future.delayed(seconds, function() return "late" end):await())
      assert.is_false(Isolate.step(seconds))
      local fired = Isolate.Completer()
      Isolate.Timer(seconds, function() fired:complete(true) end)
      assert.is_true(fired.future:await())
    end
  end)

  it("without end is for ever", function()
    local port <close> = Isolate.ReceivePort()
    for _, seconds in ipairs { huge, 1e300, math.maxinteger } do
      local timer = Isolate.Timer(seconds, error)
      local periodic = Isolate.Timer.periodic(seconds, error)
      port.send_port:send("came")
      assert.equal("came", port:receive(seconds))
      assert.equal(7, Isolate.run(function() return 7 end):await(seconds))
      assert.equal(7, Isolate.run(function() return 7 end):timeout(seconds):await())
      assert.equal(7, Isolate.compute(function() return 7 end, nil, { timeout = seconds }):await())
      local iso = Isolate.spawn(function() end, nil, { grace = seconds, memory_limit = seconds })
      assert.is_true(iso:join(seconds))
      timer:cancel()
      periodic:cancel()
    end
  end)

  -- The ticks that were missed did not fit an integer: "attempt to perform arithmetic on a
  -- nil value" left the loop, and named our own file.
  it("too small for any clock is a period, and ticks", function()
    for _, seconds in ipairs { 0, 1e-9, 1e-30, 1e-300, 5e-324, -huge } do
      local done = Isolate.Completer()
      Isolate.Timer.periodic(seconds, function(timer)
        if timer.tick >= 3 then
          timer:cancel()
          done:complete(math.type(timer.tick))
        end
      end)
      assert.equal("integer", done.future:await(GUARD))
    end
  end)
end)

describe("Options", function()
  it("may come from a metatable", function()
    local defaults = { name = "by default", errors_are_fatal = true }
    local port <close> = Isolate.ReceivePort()
    Isolate.spawn(function(reply) reply:send(require "isolate".current.name) end, port.send_port,
      setmetatable({ paused = false }, { __index = defaults }))
    assert.equal("by default", port:receive(GUARD))
  end)

  it("that raise when they are read pass that on, and nothing is started", function()
    local before = #Isolate.list()
    local opts = setmetatable({}, { __index = function(_, key) error("no " .. type(key), 0) end })
    assert.equal("no string", failure(function() Isolate.spawn(print, nil, opts) end))
    assert.equal(before, #Isolate.list())
  end)

  it("are read once", function()
    local reads = {}
    local opts = setmetatable({}, { __index = function(_, key) reads[key] = (reads[key] or 0) + 1 end })
    Isolate.compute(function() end, nil, opts):await(GUARD)
    for key, n in pairs(reads) do assert.equal(1, n, key) end
  end)

  it("are not changed", function()
    local opts = {}
    Isolate.spawn_file("spec/fixtures/settings.lua", nil, opts):join(GUARD)
    assert.same({}, opts)
  end)
end)

describe("More arguments than there are", function()
  it("are ignored, as by Lua", function()
    local port <close> = Isolate.ReceivePort("inbox", 1)
    port.send_port:send("one", "two")
    assert.equal("one", port:receive(GUARD, 1, 2))
    assert.is_number(Isolate.processors(1))
    assert.is_table(Isolate.list(1))
    assert.is_false(Isolate.step(0, 1))
    assert.is_true(Isolate.Future.value():is_done(1))
  end)
end)

--
-- Wrong states
--

describe("The loop cannot be run again", function()
  local function text(fn) return tostring(failure(fn)):match "^.-input_spec%.lua:%d+: (.*)" end
  local running = "Isolate.%s: the loop is running already"

  for _, name in ipairs { "loop", "step" } do
    local message = running:format(name)
    local run = Isolate[name]

    it("in a task: " .. name, function()
      assert.equal(message, text(function() Isolate.async(function() run() end):await() end))
    end)

    it("in a task's own coroutine: " .. name, function()
      assert.equal(message, text(function()
        Isolate.async(function()
          Isolate.sleep(0)
          error(select(2, coroutine.resume(coroutine.create(function() run() end))), 0)
        end):await()
      end))
    end)

    it("in a handler: " .. name, function()
      local port <close> = Isolate.ReceivePort()
      port:listen(function() run() end)
      port.send_port:send(1)
      assert.equal(message, text(function() Isolate.step(GUARD) end))
    end)

    it("in a timer's function: " .. name, function()
      Isolate.Timer(0, function() run() end)
      assert.equal(message, text(function() Isolate.step(GUARD) end))
    end)

    it("in a callback of a Future: " .. name, function()
      local future = Isolate.Future.value(1):next(function() run() end)
      assert.equal(message, text(function() future:await() end))
    end)

    it("in a spawned isolate: " .. name, function()
      local err = failure(function()
        Isolate.run(function(key) require "isolate"[key]() end, name):await(GUARD)
      end)
      assert.matches("input_spec.lua:%d+: " .. message, err.message)
    end)

    it("but in a coroutine of one's own it runs: " .. name, function()
      assert.is_true((coroutine.resume(coroutine.create(function() run() end))))
    end)
  end
end)

describe("What is over", function()
  it("takes all calls: a handle whose isolate has ended", function()
    local port <close> = Isolate.ReceivePort()
    local iso = Isolate.spawn(function() end)
    iso:join(GUARD)
    iso:kill()
    iso:kill(Isolate.immediate)
    iso:resume(iso:pause())
    iso:ping(port.send_port, 1)
    iso:add_on_exit_listener(port.send_port, 1)
    iso:remove_on_exit_listener(port.send_port)
    iso:add_error_listener(port.send_port)
    iso:remove_error_listener(port.send_port)
    iso:set_errors_fatal(false)
    iso.control_port:send("to nobody")
    assert.is_true(iso:join())
    assert.is_true(iso:join(0))
    assert.same({ nil, "timeout" }, { port:receive(0) })
  end)

  it("takes messages, and drops them: a port of an isolate that has ended", function()
    local port <close> = Isolate.ReceivePort()
    local iso = Isolate.spawn(function(reply)
      reply:send(require "isolate".ReceivePort().send_port)
      require "isolate".exit()
    end, port.send_port)
    local there = port:receive(GUARD)
    iso:join(GUARD)
    there:send { "to nobody" }
    assert.matches("a coroutine stays", failure(function() there:send(coroutine.create(print)) end))
  end)

  it("takes all calls: a closed port", function()
    local port = Isolate.ReceivePort()
    port:close()
    port:close()
    port.send_port:send("to nobody")
    assert.same({ nil, "closed" }, { port:receive() })
    for _ in port:messages() do error "none" end
    assert.matches("^ClosedError: the port was closed", tostring(failure(function() port:first():await() end)))
    local subscription = port:listen(error)
    subscription:pause()
    subscription:resume()
    subscription:cancel()
    subscription:cancel()
    while Isolate.step() do end
    local raw = Isolate.RawReceivePort()
    raw:close()
    raw:close()
    raw.handler, raw.keep_alive = print, false
  end)

  it("takes a cancel: a timer that has fired, a Future that is done, a completer of a cancelled one", function()
    local timer = Isolate.Timer(0, function() end)
    while timer:is_active() do Isolate.step(GUARD) end
    timer:cancel()
    local future = Isolate.Future.value(1)
    future:cancel()
    assert.equal(1, future:await())
    local completer = Isolate.Completer()
    completer.future:cancel()
    completer:complete(1)
    completer:complete_error(1)
    assert.equal(Isolate.CancelledError, getmetatable(failure(function() completer.future:await() end)))
  end)
end)

describe("exit with a wrong port", function()
  it("raises at the call, and the isolate goes on", function()
    local text, after = Isolate.run(function()
      local _, err = pcall(function()
        local I = require "isolate"
        I.exit(I.ReceivePort())
      end)
      return err, "went on"
    end):await(GUARD)
    assert.matches("input_spec%.lua:%d+: bad argument #1 to 'exit' %(SendPort expected, got ReceivePort%)$", text)
    assert.equal("went on", after)
  end)
end)

--
-- Strange values of the user's
--

describe("Error objects", function()
  local broken = setmetatable({}, { __tostring = function() error "broken" end })

  it("can be made of anything, and shown", function()
    assert.equal("TimeoutError: nil", tostring(Isolate.TimeoutError()))
    assert.equal("TimeoutError: 42", tostring(Isolate.TimeoutError(42, 43)))
    assert.equal("CancelledError: (error object is a table value)", tostring(Isolate.CancelledError(broken)))
    assert.equal("nil", tostring(Isolate.RemoteError()))
    -- was "attempt to concatenate a table value", in our own file
    assert.equal("m", tostring(Isolate.RemoteError("m", {})))
    assert.equal("(error object is a table value)", tostring(Isolate.RemoteError(broken, 42)))
  end)

  -- The receiver got "attempt to concatenate a nil value (field 'traceback')" of boot.lua.
  it("that are RemoteErrors of the user's making cross as they are", function()
    local port <close> = Isolate.ReceivePort()
    for _, traceback in ipairs { false, 42, {} } do
      local function fail()
        local err = require "isolate".RemoteError("as it was")
        err.traceback = traceback or nil
        error(err)
      end
      local err = failure(function() Isolate.run(fail):await(GUARD) end)
      assert.equal("as it was", err.message)
      Isolate.spawn(fail, nil, { on_error = port.send_port })
      assert.equal("as it was", port:receive(GUARD)[1])
    end
  end)

  -- The message of the RemoteError was the user's error value itself: its tostring
  -- overflowed the stack of the program.
  it("raised by the __transfer of a result are told by a text", function()
    for _, value in ipairs { broken, { "no text" }, print } do
      local err = failure(function()
        Isolate.run(function(what)
          return setmetatable({}, { __transfer = function() error(what) end })
        end, value):await(GUARD)
      end)
      assert.equal("string", type(err.message))
    end
  end)

  it("that cannot be shown are reported, unheard", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      Isolate.Future.error(setmetatable({}, {__tostring = function() error "broken" end}))
      Isolate.loop()
      print "goes on"
    ]]
    assert.equal("goes on\n", result.stdout)
    assert.equal("isolate: a Future failed and nobody asked for it: (error object is a table value)\n",
      result.stderr)
  end)
end)

describe("A list of Futures", function()
  -- `cancel` looked at the list again: "attempt to index a nil value (local 'source')".
  it("may be changed after the call", function()
    for _, name in ipairs { "all", "any" } do
      local a, b = Isolate.Future.delayed(1000), Isolate.Future.delayed(1000)
      local list = { a, b }
      local whole = Isolate.Future[name](list)
      list[1], list[2] = nil, nil
      whole:cancel()
      assert.is_true(a:is_done() and b:is_done())
    end
  end)
end)

describe("The iterator of messages", function()
  -- It counted by the control variable: "attempt to perform arithmetic on a nil value".
  it("can be called by hand", function()
    local port <close> = Isolate.ReceivePort()
    port.send_port:send("a")
    port.send_port:send("b")
    local following = port:messages()
    assert.same({ 1, "a" }, { following() })
    assert.same({ 2, "b" }, { following() })
    port:close()
    assert.same({}, { following() })
  end)
end)

describe("What ports have of their own", function()
  -- In C, and without a check of what it was called with, it crashed.
  it("takes no other object, of any kind", function()
    local result = helper.lua [[
      local core = require "isolate.core"
      local Isolate = require "isolate"
      local port <close> = Isolate.ReceivePort()
      local class = getmetatable(port)
      local all = { core.port_open, core.port_close, class.look, class.pull, class.deliver,
        class.add, class.pass_to, class.try, class.register, class.reader }
      for _, it in ipairs { class, getmetatable(class), getmetatable(Isolate.ReceivePort),
                            getmetatable(core) } do
        for _, value in pairs(it) do
          if type(value) == "function" then all[#all + 1] = value end
        end
      end
      for _, fn in ipairs(all) do
        for _, other in ipairs { 42, true, "text", port.send_port, print } do
          pcall(fn, other, "listen", 0)
        end
        pcall(fn)
      end
      print(#all > 15)
    ]]
    assert.equal("true\n", result.stdout)
    assert.equal("", result.stderr)
    assert.equal(0, result.status)
  end)
end)

describe("A wait while a value is rebuilt", function()
  for _, wait in ipairs {
    "Isolate.sleep(0)", "Isolate.Future.delayed(0):await()", "Isolate.Future.delayed(0):await(1)",
    "Isolate.ReceivePort():receive()", "Isolate.ReceivePort():receive(1)",
    "for _ in Isolate.ReceivePort():messages() do end", "Isolate.current:join()",
  } do
    -- The place was one of our own files.
    it("raises where it is: " .. wait, function()
      local err = failure(function()
        Isolate.run(function(code)
          local port = require "isolate".ReceivePort()
          local rebuild = assert(load("local Isolate = require 'isolate'\n\n" .. code, "=user.lua"))
          port.send_port:send(setmetatable({}, { __transfer = function() return rebuild end }))
          port:receive()
        end, wait):await(GUARD)
      end)
      assert.equal("a message to a port could not be received: "
        .. "user.lua:3: a value that is being rebuilt may not wait", err.message)
    end)
  end
end)

describe("A port in a coroutine of one's own", function()
  it("is received from as anywhere, and the loop runs meanwhile", function()
    local port <close> = Isolate.ReceivePort()
    local reader = coroutine.wrap(function()
      while true do coroutine.yield(port:receive(GUARD)) end
    end)
    for i = 1, 3 do
      Isolate.Timer(0, function() port.send_port:send(i) end)
      assert.equal(i, reader())
    end
  end)
end)
