--- In a new isolate: what the spawner had in package.preload and package.searchers.

local package, table = package, table
local core = require "isolate.core"

return function()
  local inherited = core.setup()
  for module, loader in pairs(inherited.preload) do
    if package.preload[module] == nil then package.preload[module] = loader end
  end
  for _, searcher in ipairs(inherited.searchers) do
    local known = false
    for _, other in ipairs(package.searchers) do known = known or rawequal(other, searcher) end
    if not known then table.insert(package.searchers, searcher) end
  end
end
