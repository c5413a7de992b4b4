# Prints and acknowledges what is in a queue; ends when nothing came for two seconds.
require "stomp"
require "timeout"

connection = Stomp::Connection.new(
  hosts: [{ host: "127.0.0.1", port: 61613 }], reliable: false,
  connect_headers: { "accept-version" => "1.2", "host" => "/" })
connection.subscribe(ARGV[0], "id" => "1", "ack" => "client-individual")
loop do
  message = Timeout.timeout(2) { connection.receive }
  puts message.body
  connection.ack(message.headers["ack"])
rescue Timeout::Error
  break
end
connection.disconnect("receipt" => "done")
