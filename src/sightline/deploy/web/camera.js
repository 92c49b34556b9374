// The webcam: a dialog with what it sees and a button that takes it.

import { byId } from "./elements.js";

const REASONS = {
  NotAllowedError: "cameraRefused", SecurityError: "cameraRefused",
  NotFoundError: "cameraNone", OverconstrainedError: "cameraNone",
};

// A picture as a Blob, or null when it was cancelled. Throws the key of a message.
export async function take() {
  if (!navigator.mediaDevices?.getUserMedia) throw "cameraInsecure";
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 720 } },
    });
  } catch (error) {
    throw REASONS[error.name] ?? "cameraBusy";
  }
  const dialog = byId("camera");
  const video = dialog.querySelector("video");
  video.srcObject = stream;
  dialog.showModal();
  try {
    return await pressed(dialog) ? await still(video) : null;
  } finally {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
    dialog.close();
  }
}

// Whether the button was pressed, and not cancel or Escape.
function pressed(dialog) {
  return new Promise((resolve) => {
    byId("take").onclick = () => resolve(true);
    byId("cancel").onclick = () => resolve(false);
    dialog.onclose = () => resolve(false);
  });
}

function still(video) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
