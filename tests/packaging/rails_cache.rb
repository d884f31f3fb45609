# Uses ActiveSupport's cache with the settings of a recipe: rails_cache.rb SETTINGS.

require "active_support"
require "active_support/all"
require "active_support/cache"

# What the recipe sets of Rails. Rails itself is not needed to try the cache.
class Configuration
  attr_accessor :cache_store
  attr_reader :sessions

  def session_store(*store)
    @sessions = store
  end
end

module Rails
  CONFIGURATION = Configuration.new

  def self.application
    self
  end

  def self.config
    CONFIGURATION
  end

  def self.configure(&block)
    instance_eval(&block)
  end
end

load ARGV.fetch(0)

def check(what, found, expected)
  abort "#{what}: #{found.inspect} instead of #{expected.inspect}" unless found == expected
end

check "sessions", Rails.config.sessions.first, :cache_store
cache = ActiveSupport::Cache.lookup_store(*Rails.config.cache_store)
check "write", !!cache.write("object", { "list" => [1, 2] }), true
check "read", cache.read("object"), { "list" => [1, 2] }
computed = 0
2.times { cache.fetch("computed") { computed += 1 } }
check "fetch", computed, 1
cache.write("number", "1", raw: true)
check "increment", cache.increment("number", 2), 3
check "read_multi", cache.read_multi("object", "missing"), { "object" => { "list" => [1, 2] } }
check "delete", cache.delete("object"), true
check "exist?", cache.exist?("object"), false
large = "x" * 100_000
cache.write("large", large)
check "large", cache.read("large"), large
