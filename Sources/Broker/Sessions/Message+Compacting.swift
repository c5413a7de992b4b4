import NIOCore

extension Message {
    /// The same message in memory of its own, unless it already fills most of what it stands in.
    ///
    /// What is kept for long must not pin the whole receive buffer that it was parsed from.
    func compacted() -> Message {
        guard pins(headers) || pins(body) else { return self }
        var storage = ByteBufferAllocator().buffer(capacity: byteCount)
        storage.writeImmutableBuffer(headers)
        storage.writeImmutableBuffer(body)
        let length = headers.readableBytes
        guard let headers = storage.readSlice(length: length) else { return self }
        return Message(headers: headers, body: storage, expires: expires)
    }

    /// True if the buffer stands in storage of more than twice this message.
    private func pins(_ buffer: ByteBuffer) -> Bool {
        buffer.storageCapacity > 2 * byteCount + 64
    }
}
