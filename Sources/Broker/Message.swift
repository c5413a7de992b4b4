package import Base
package import NIOCore

/// What one client sent and others receive: headers and body, both opaque to the broker.
///
/// `headers` is the canonical header block (`docs/format.md`, "Header block"): lines of
/// `name:value\n`, escaped as STOMP 1.2 escapes them, without the headers that the broker itself
/// writes. A codec turns it into its protocol's form.
package struct Message: Sendable, Equatable {
    package let headers: ByteBuffer
    package let body: ByteBuffer
    /// When it is of no use any more, in ms since 1970; 0 = never.
    package let expires: UInt64

    @inline(__always)
    package init(headers: ByteBuffer, body: ByteBuffer, expires: UInt64 = 0) {
        self.headers = headers
        self.body = body
        self.expires = expires
    }

    /// Bytes of headers and body together, the measure of every limit on messages.
    package var byteCount: Int { headers.readableBytes + body.readableBytes }

    /// What a message costs beside its headers and body where it waits in memory.
    ///
    /// Its place in a table, or the rest of its frame. Without it empty messages would be free, and
    /// so without bound.
    package static let overheadBytes = 128

    /// The measure of what waits in memory for a socket.
    package var footprint: Int { byteCount + Self.overheadBytes }
}

/// The name of one entry that stays the same when it is delivered again.
///
/// For a persistent queue: queue and sequence of its entry. Memory queues and topics count from a
/// start that rises from run to run, so that their names do not repeat after a restart either.
package struct MessageID: Hashable, Sendable {
    package let queue: QueueID
    package let sequence: EntrySequence

    package init(queue: QueueID, sequence: EntrySequence) {
        self.queue = queue
        self.sequence = sequence
    }
}
