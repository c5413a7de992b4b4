package import Base
package import StompCodec

/// What the configuration says about STOMP connections.
package struct StompSessionOptions: Sendable {
    package var limits = StompLimits()
    /// What the broker offers and wishes.
    package var heartBeat = HeartBeat(sendMilliseconds: 10_000, receiveMilliseconds: 10_000)
    /// Silence that no client is dropped for, whatever heart-beats were agreed.
    package var silenceMin = Interval.zero
    /// How long a connection may live without a CONNECT frame.
    package var connectTimeout = Interval.seconds(10)
    /// Sockets at once, connected or not.
    package var connectionsMax = 50_000
    /// How long a connection that was told to go stays open, so that it can read why.
    package var lingerTime = Interval.seconds(1)
    /// How long a connection that was told to go waits for its last receipts.
    package var drainTime = Interval.seconds(10)
    /// A large frame that is under way for longer makes room for others when memory is short.
    package var frameTimeMax = Interval.seconds(10)
    /// Bytes that wait for a client that does not read; past it nothing is read from it.
    package var outboundBytesMax = 1 << 20
    /// Receipts that wait until something is durable; past it nothing is read from the client.
    ///
    /// Several times what a store takes in between two syncs.
    package var waitingReceiptsMax = 65_536
    /// Bytes of the ids of those receipts; a client chooses how long its ids are.
    package var waitingReceiptBytesMax = 4 << 20
    /// Bytes that may wait behind a CONNECT until its login was checked.
    ///
    /// As much as is read before reading stops; a client should wait for CONNECTED anyway.
    package var waitingLoginBytesMax = 64 << 10
    /// The `server` header of CONNECTED.
    package var serverName = "radiator"

    package init() {}
}
