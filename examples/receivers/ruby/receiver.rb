# frozen_string_literal: true

# A receiver of webhooks: verifies, keeps each delivery once, answers at once, applies in order.
#
#     WEBHOOK_SECRET=whsec_… PORT=8080 INBOX=./inbox ruby receiver.rb
#
# Needs Ruby 3 and WEBrick (`gem install webrick`, or Debian's package ruby-webrick). With Rails the
# bytes are in `request.raw_post`, with Sinatra and Rack in `request.body.read`.
require 'base64'
require 'fileutils'
require 'json'
require 'openssl'
require 'securerandom'
require 'webrick'

SECRET = Base64.strict_decode64(ENV.fetch('WEBHOOK_SECRET').delete_prefix('whsec_'))
INBOX = ENV.fetch('INBOX', 'inbox')
DELIVERIES, DONE, ORDERS = %w[deliveries done orders].map { |it| File.join(INBOX, it) }
TOLERANCE_SECONDS = 300
LARGEST_BODY = 1024 * 1024
ARRIVED = Queue.new
$stdout.sync = true

# Tells whether a request is signed with the secret, and not older than five minutes.
def verified?(request, body)
  id = request['webhook-id'].to_s
  timestamp = request['webhook-timestamp'].to_s
  return false unless id.match?(/\A[\w-]{1,100}\z/) && timestamp.match?(/\A\d{1,12}\z/)
  return false if (Time.now.to_i - timestamp.to_i).abs > TOLERANCE_SECONDS

  mac = OpenSSL::HMAC.digest('SHA256', SECRET, "#{id}.#{timestamp}.".b + body)
  expected = "v1,#{Base64.strict_encode64(mac)}"
  # Several, while a secret is being replaced.
  request['webhook-signature'].to_s.split.any? { |it| OpenSSL.secure_compare(it, expected) }
end

# Writes a delivery to the disk under its id; returns whether it is new.
def keep(id, body)
  temporary = File.join(INBOX, SecureRandom.uuid)
  File.open(temporary, 'wb') do |file|
    file.write(body)
    file.fsync
  end
  # It is there whole or not at all, and only once.
  File.link(temporary, File.join(DELIVERIES, id))
  true
rescue Errno::EEXIST
  false
ensure
  FileUtils.rm_f(temporary)
end

# Verifies and keeps a request; returns the status of the answer. The work is done behind it.
def receive(request)
  return 405 unless request.request_method == 'POST'
  return 413 if request['content-length'].to_i > LARGEST_BODY

  body = request.body.to_s.b
  unless verified?(request, body)
    puts 'refused'
    return 401
  end
  puts "#{keep(request['webhook-id'], body) ? 'accepted' : 'duplicate'} #{request['webhook-id']}"
  ARRIVED << true
  204
end

# Applies what was kept, for ever.
def work
  loop do
    waiting = Dir.children(DELIVERIES) - Dir.children(DONE)
    bodies = waiting.to_h { |id| [id, JSON.parse(File.read(File.join(DELIVERIES, id)))] }
    bodies.sort_by { |_, body| body['sequence'].to_i }.each do |id, body|
      apply(body)
      FileUtils.touch(File.join(DONE, id))
    end
    ARRIVED.pop
  end
end

# Applies a change of an order, unless a later one was applied before.
def apply(body)
  order = body.dig('data', 'order', 'id')
  return puts "put aside #{body['event']}" unless order

  sequence = body['sequence'].to_i
  state = File.join(ORDERS, "#{body['event'].tr('/', '_')}-#{order}")
  last = File.exist?(state) ? File.read(state).to_i : 0
  return puts "stale #{order} #{sequence}" if sequence.positive? && sequence <= last

  # Your own work is here. It may be done again after a crash.
  puts "applied #{order} #{sequence}"
  File.write(state, [sequence, last].max.to_s)
end

[DELIVERIES, DONE, ORDERS].each { |it| FileUtils.mkdir_p(it) }
Thread.new { work }.abort_on_exception = true
server = WEBrick::HTTPServer.new(
  BindAddress: '127.0.0.1', Port: ENV.fetch('PORT', '8080').to_i, AccessLog: []
)
server.mount_proc('/') { |request, response| response.status = receive(request) }
%w[INT TERM].each { |it| trap(it) { server.shutdown } }
server.start
