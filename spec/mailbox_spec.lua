-- mailbox_spec.lua
-- The mailbox (src/mailbox.c) alone, with threads that do nothing else: spec/host/mailbox.c.

local compile = require "spec.support.compile"
local helper = require "spec.helper"

describe("A mailbox #host", function()
  local program

  setup(function()
    program = compile.program("mailbox", "-O1 src/mailbox.c src/message.c"
      .. " src/spares.c src/blocks.c src/slab.c src/large.c src/platform.c")
  end)

  -- Isolate.list() told of a queue of -2756: what had come was read before what was handled, and meanwhile more of
  -- both was done.
  it("gives what each posts in order, and at no time counts less than nothing", function()
    local pipe <close> = assert(io.popen(("timeout %d %s 300000 2>&1"):format(60 * helper.slow, program)))
    assert.are.equal("in order, 0, 0\n", pipe:read "a")
  end)
end)
