class ImageTransform:
    def __init__(
        self,
        max_image_size,
        min_image_size,
        image_stride,
        max_pixels=14 * 14 * 9 * 1024,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    ):
        self.largest, self.stride = max_image_size, image_stride

    def resize_transform(self, picture):
        """Longest side 64 for a stub, in multiples of the stride."""
        scale = 64 / max(picture.size)
        return picture.resize([max(self.stride, round(side * scale / self.stride) * self.stride) for side in picture.size])
