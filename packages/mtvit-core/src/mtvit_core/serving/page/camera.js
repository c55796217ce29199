// The camera: one frame after the other, each as soon as the last one is answered.

export class Camera {
  constructor(video) { this.video = video; this.stream = null; }

  get on() { return this.stream !== null; }

  /** Run until `stop`; `see(blob)` is waited for. */
  async start(see) {
    if (!navigator.mediaDevices) throw new Error("This browser gives no camera to a page without HTTPS.");
    this.stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    this.video.srcObject = this.stream;
    await this.video.play();
    const canvas = document.createElement("canvas");
    while (this.on) {
      canvas.width = this.video.videoWidth;
      canvas.height = this.video.videoHeight;
      canvas.getContext("2d").drawImage(this.video, 0, 0);
      const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
      if (this.on) await see(blob);
    }
  }

  stop() {
    for (const track of this.stream?.getTracks() || []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
  }
}
