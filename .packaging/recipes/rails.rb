# Rails' cache in miocached over a Unix socket, and sessions in the cache: a part of
# config/environments/production.rb. It needs the gem dalli.
Rails.application.configure do
  config.cache_store = :mem_cache_store, "/run/miocached.sock",
    { namespace: "site", expires_in: 1.hour, race_condition_ttl: 10.seconds }
  # A full cache evicts sessions, too. Let them have a server of their own if that matters.
  config.session_store :cache_store, key: "_site_session", expire_after: 14.days
end
