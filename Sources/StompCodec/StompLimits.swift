import Base

/// Bounds on what one frame may hold.
///
/// Each has an error that names it.
package struct StompLimits: Sendable, Equatable {
    /// Bytes of a body.
    ///
    /// 16 MiB: more is a file transfer, not a message.
    package var bodyBytesMax: Int
    /// Header lines.
    ///
    /// 128: several times what any known client library sends.
    package var headersMax: Int
    /// Bytes of all header lines with their line ends.
    ///
    /// 64 KiB: the receive buffer's largest size.
    package var headerBytesMax: Int

    /// Bytes of a body before the CONNECT is accepted; such a frame should have none.
    package static let bodyBytesBeforeConnectMax = 8 << 10

    package init(
        bodyBytesMax: Int = 16 << 20,
        headersMax: Int = 128,
        headerBytesMax: Int = 64 << 10
    ) {
        invariant(bodyBytesMax >= 0 && bodyBytesMax < 1 << 40, "max_body out of range")
        invariant(headersMax > 0, "max_headers out of range")
        invariant(headerBytesMax > 0 && headerBytesMax < 1 << 30, "max_header_bytes out of range")
        self.bodyBytesMax = bodyBytesMax
        self.headersMax = headersMax
        self.headerBytesMax = headerBytesMax
    }
}
