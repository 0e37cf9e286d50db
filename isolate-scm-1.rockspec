rockspec_format = "3.0"
package = "isolate"
version = "scm-1"

source = {
  url = "git+https://github.com/lua-isolate/isolate.git",
}

description = {
  summary = "Dart's isolates for Lua: functions that run in parallel, and talk by messages",
  detailed = [[
    Runs Lua functions on OS threads of their own, each in its own Lua state.
    Isolates share nothing; values, functions and whole graphs of tables travel
    between them as messages, through ports, futures and streams.
  ]],
  homepage = "https://github.com/lua-isolate/isolate",
  issues_url = "https://github.com/lua-isolate/isolate/issues",
  license = "MIT",
  labels = { "concurrency", "threads", "async", "isolate" },
}

dependencies = { "lua >= 5.4, < 5.5" }

build = {
  type = "builtin",
  modules = {
    -- begin files (written by `make rockspec`)
    ["isolate.core"] = {
      sources = {
        "src/blocks.c",
        "src/boot.c",
        "src/box.c",
        "src/channel.c",
        "src/channellib.c",
        "src/codec.c",
        "src/common.c",
        "src/core.c",
        "src/decode.c",
        "src/decode_function.c",
        "src/decode_name.c",
        "src/decode_plain.c",
        "src/decode_transfer.c",
        "src/encode.c",
        "src/encode_function.c",
        "src/encode_name.c",
        "src/encode_transfer.c",
        "src/function.c",
        "src/heap.c",
        "src/hold.c",
        "src/interrupt.c",
        "src/isolate.c",
        "src/large.c",
        "src/late.c",
        "src/libraries.c",
        "src/library.c",
        "src/mailbox.c",
        "src/message.c",
        "src/names.c",
        "src/nameserver.c",
        "src/notes.c",
        "src/parcel.c",
        "src/platform.c",
        "src/port.c",
        "src/receive.c",
        "src/receiveport.c",
        "src/refuse.c",
        "src/registry.c",
        "src/seat.c",
        "src/seen.c",
        "src/signals.c",
        "src/single.c",
        "src/slab.c",
        "src/spares.c",
        "src/spawn.c",
        "src/standby.c",
        "src/words.c",
      },
    },
    ["isolate.agent"] = "lua/isolate/agent.lua",
    ["isolate.answer"] = "lua/isolate/answer.lua",
    ["isolate.boot"] = "lua/isolate/boot.lua",
    ["isolate.broadcast"] = "lua/isolate/broadcast.lua",
    ["isolate.buffer"] = "lua/isolate/buffer.lua",
    ["isolate.buffer_methods"] = "lua/isolate/buffer_methods.lua",
    ["isolate.channel"] = "lua/isolate/channel.lua",
    ["isolate.clock"] = "lua/isolate/clock.lua",
    ["isolate.computation"] = "lua/isolate/computation.lua",
    ["isolate.errors"] = "lua/isolate/errors.lua",
    ["isolate.explain"] = "lua/isolate/explain.lua",
    ["isolate.future"] = "lua/isolate/future.lua",
    ["isolate.handle"] = "lua/isolate/handle.lua",
    ["isolate.host"] = "lua/isolate/host.lua",
    ["isolate.inherited"] = "lua/isolate/inherited.lua",
    ["isolate"] = "lua/isolate/init.lua",
    ["isolate.inline"] = "lua/isolate/inline.lua",
    ["isolate.listen"] = "lua/isolate/listen.lua",
    ["isolate.loop"] = "lua/isolate/loop.lua",
    ["isolate.map"] = "lua/isolate/map.lua",
    ["isolate.names"] = "lua/isolate/names.lua",
    ["isolate.options"] = "lua/isolate/options.lua",
    ["isolate.pool"] = "lua/isolate/pool.lua",
    ["isolate.port"] = "lua/isolate/port.lua",
    ["isolate.private_port"] = "lua/isolate/private_port.lua",
    ["isolate.progress_bar"] = "lua/isolate/progress_bar.lua",
    ["isolate.raw_port"] = "lua/isolate/raw_port.lua",
    ["isolate.request"] = "lua/isolate/request.lua",
    ["isolate.select"] = "lua/isolate/select.lua",
    ["isolate.service"] = "lua/isolate/service.lua",
    ["isolate.spawn"] = "lua/isolate/spawn.lua",
    ["isolate.stream"] = "lua/isolate/stream.lua",
    ["isolate.stream_broadcast"] = "lua/isolate/stream_broadcast.lua",
    ["isolate.subscription"] = "lua/isolate/subscription.lua",
    ["isolate.timer"] = "lua/isolate/timer.lua",
    ["isolate.together"] = "lua/isolate/together.lua",
    ["isolate.user_timer"] = "lua/isolate/user_timer.lua",
    ["isolate.worker"] = "lua/isolate/worker.lua",
    -- end files
  },
  platforms = {
    unix = { modules = { ["isolate.core"] = { libraries = { "pthread" } } } },
  },
}

test = { type = "command", command = "make check" }
