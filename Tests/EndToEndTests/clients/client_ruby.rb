# What the stomp gem (Ruby, STOMP 1.1) does against a broker; see README.md for the verbs.
require "stomp"
require "timeout"

$stdout.sync = true
VERB, HOST, PORT, *REST = ARGV
BINARY = ((0..255).to_a.pack("C*") * 8 + "\0\0end\n\0").b

def open_connection
  Stomp::Connection.new(
    hosts: [{ login: "guest", passcode: "guest", host: HOST, port: PORT.to_i }],
    reliable: false,
    connect_headers: { "accept-version" => "1.1", "host" => "/" })
end

def expect(actual, wanted, what)
  abort "#{what}: wanted #{wanted.inspect}, got #{actual.inspect}" unless actual == wanted
end

def receive(connection)
  Timeout.timeout(20) { connection.receive }
end

def receipt(connection, wanted)
  frame = receive(connection)
  expect(frame && [frame.command, frame.headers["receipt-id"]], ["RECEIPT", wanted], "receipt")
end

def check
  connection = open_connection
  name = "/queue/check.ruby.#{Process.pid}"
  lasting = { "persistent" => "true" }
  10.times do |number|
    connection.publish(name, "body #{number}", lasting.merge("receipt" => "send-#{number}"))
    receipt(connection, "send-#{number}")
  end
  individual = { "id" => "q", "ack" => "client-individual", "prefetch-count" => "10" }
  connection.subscribe(name, individual)
  settle = lambda do |wanted, what|
    frame = receive(connection)
    expect(frame.body.b, wanted.b, what)
    connection.ack(frame.headers["message-id"], "subscription" => "q")
  end
  10.times { |number| settle.call("body #{number}", "message in order") }

  connection.begin("kept")
  %w[one two].each { |body| connection.publish(name, body, lasting.merge("transaction" => "kept")) }
  connection.commit("kept", "receipt" => "commit")
  receipt(connection, "commit")
  %w[one two].each { |body| settle.call(body, "message of a committed transaction") }
  connection.begin("dropped")
  connection.publish(name, "never", lasting.merge("transaction" => "dropped"))
  connection.abort("dropped")

  connection.publish(name, BINARY, lasting)
  settle.call(BINARY, "binary body, and nothing of the aborted transaction")
  connection.unsubscribe(name, "id" => "q")

  topic = "/topic/check.ruby.#{Process.pid}"
  connection.subscribe(topic, "id" => "t", "receipt" => "topic")
  receipt(connection, "topic")
  connection.publish(topic, "news", "colour" => "a:b")
  frame = receive(connection)
  expect(frame.body, "news", "topic message")
  expect(frame.headers["colour"], "a:b", "escaped header")
  connection.disconnect("receipt" => "bye")
  expect(connection.disconnect_receipt.headers["receipt-id"], "bye", "receipt of DISCONNECT")
end

def produce(name, first)
  connection = open_connection
  number = first.to_i
  loop do
    connection.publish(name, number.to_s, "persistent" => "true", "receipt" => number.to_s)
    frame = receive(connection)
    break if frame.nil? || frame.headers["receipt-id"] != number.to_s
    puts number
    number += 1
  end
rescue SystemCallError, IOError, Timeout::Error, Stomp::Error::NoCurrentConnection
  exit 0
end

def settle(name)
  connection = open_connection
  connection.subscribe(name, "id" => "q", "ack" => "client-individual", "prefetch-count" => "1")
  # The next message may overtake the receipt of the ACK, which waits for the disk.
  while (frame = receive(connection))
    if frame.command == "RECEIPT"
      puts frame.headers["receipt-id"]
    else
      puts "ack #{frame.body}"
      settled = { "subscription" => "q", "receipt" => frame.body }
      connection.ack(frame.headers["message-id"], settled)
    end
  end
rescue SystemCallError, IOError, Timeout::Error, Stomp::Error::NoCurrentConnection
  exit 0
end

send(VERB, *REST)
